"""Dense attention in float64 on the GPU, and the same in low precision as the yardstick of what error is to be expected."""
import torch

from plan import slices_to_bands


def dense_mask(slices, total_q, total_k, device):
    rows = torch.arange(total_q, device=device)[:, None]
    cols = torch.arange(total_k, device=device)[None, :]
    mask = torch.zeros(total_q, total_k, dtype=torch.bool, device=device)
    for q0, q1, k0, k1, lo, hi in slices_to_bands(slices):
        mask |= (rows >= q0) & (rows < q1) & (cols >= k0) & (cols < k1) & (cols - rows >= lo) & (cols - rows <= hi)
    return mask


class Attention:
    """Forward, then backward. low: round P, dS and results to q's dtype, as a dense implementation of that dtype would."""

    def __init__(self, q, k, v, slices, scale=None, softcap=0.0, sink=None, sink_layout='sh', low=False):
        self.dtype = q.dtype
        self.low = low
        self.shared_sink = sink_layout == 'sh'
        self.scale = q.shape[2] ** -0.5 if scale is None else scale
        self.group = q.shape[1] // k.shape[1]
        heads_first = lambda x: x.double().transpose(0, 1)
        self.q, self.k, self.v = heads_first(q), self._spread(heads_first(k)), self._spread(heads_first(v))
        mask = dense_mask(slices, q.shape[0], k.shape[0], q.device)
        logits = self.q @ self.k.mT * self.scale
        self.slope = 1.0
        if softcap > 0:
            tanh = torch.tanh(logits / softcap)
            logits, self.slope = softcap * tanh, 1 - tanh * tanh
        logits = logits.masked_fill(~mask, -torch.inf)
        self.max_logits = logits.flatten(1).amax(1) if logits.numel() > 0 else logits.new_full((q.shape[1],), -torch.inf)
        self.sinks = None  # [heads, rows or 1, tokens]
        if sink is not None:
            self.sinks = sink.double().permute(2, 0, 1) if sink_layout == 'ssh' else sink.double().mT[:, None]
            extra = self.sinks.expand(-1, q.shape[0], -1)
            self.lse = torch.logsumexp(torch.cat([logits, extra], 2), 2)
        else:
            self.lse = torch.logsumexp(logits, 2)
        shift = self.lse.masked_fill(self.lse == -torch.inf, 0.0)[:, :, None]
        self.p = torch.exp(logits - shift)
        self.out = self._round(self._round(self.p) @ self.v)

    def results(self):
        """out [total_q, heads, head_dim], lse [total_q, heads], max_logits [heads]."""
        return self.out.transpose(0, 1), self.lse.T, self.max_logits

    def gradients(self, grad_out):
        """dq, dk, dv and dsink (None without a sink), shaped like what they belong to."""
        g = grad_out.double().transpose(0, 1)
        delta = (self.out * g).sum(2, keepdim=True)
        ds = self._round(self.p * self.slope * (g @ self.v.mT - delta))
        dq = self._round(self.scale * (ds @ self.k))
        dk = self._round(self._gather(self.scale * (ds.mT @ self.q)))
        dv = self._round(self._gather(self._round(self.p).mT @ g))
        dsink = None
        if self.sinks is not None:
            weights = torch.exp(self.sinks - self.lse[:, :, None]).nan_to_num(0.0)
            dsink = (-weights * delta).permute(1, 2, 0)
            dsink = dsink.sum(0) if self.shared_sink else dsink
        return dq.transpose(0, 1), dk.transpose(0, 1), dv.transpose(0, 1), dsink

    def _round(self, x):
        return x.to(self.dtype).double() if self.low else x

    def _spread(self, x):
        return x.repeat_interleave(self.group, 0)

    def _gather(self, x):
        return x.unflatten(0, (-1, self.group)).sum(1)
