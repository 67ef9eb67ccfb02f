"""Attention in float32, and in the dense low-precision form that errors are judged by, for chosen rows or columns.

A mask may have any number of overlapping bands over millions of tokens: what a row sees is found for the chosen rows
only, so the memory is len(rows) times the number of columns.
"""

import torch


def attended(bands, rows, num_cols):
    """[len(rows), num_cols] bool: which columns each row sees. bands [n, 6] int64, rows [m] int64."""
    row0, row1, col0, col1, lo, hi = bands.unbind(1)
    r = rows.unsqueeze(1)
    begin = torch.maximum(col0, r + lo)
    end = torch.minimum(col1, r + hi + 1)
    seen = (r >= row0) & (r < row1) & (begin < end)
    begin = torch.where(seen, begin, 0)
    end = torch.where(seen, end, 0)
    # How many bands cover a column: +1 where one begins, -1 where it ends, summed up.
    steps = torch.zeros(len(rows), num_cols + 1, dtype=torch.int32, device=rows.device)
    ones = torch.ones_like(begin, dtype=torch.int32)
    steps.scatter_add_(1, begin, ones)
    steps.scatter_add_(1, end, -ones)
    return steps.cumsum_(1, dtype=torch.int32)[:, :num_cols] > 0


def transposed(bands):
    """The bands with rows and columns exchanged."""
    row0, row1, col0, col1, lo, hi = bands.unbind(1)
    return torch.stack((col0, col1, row0, row1, -hi, -lo), 1)


def attend_rows(q, k, v, grad_out, bands, rows, precision=torch.float32):
    """Rows of the results, for all heads: out, grad_q [m, hq, d], lse, delta [m, hq] (float32).

    q and grad_out are [total_q, hq, d], k and v [total_k, hkv, d]. delta is the sum of out * grad_out over d.
    `precision` is that of the stored scores and weights: float32 for the reference.
    """
    scale = q.shape[-1] ** -0.5
    group = q.shape[1] // k.shape[1]
    mask = attended(bands, rows, k.shape[0])
    out, grad_q = (torch.empty(len(rows), *q.shape[1:], device=q.device) for _ in range(2))
    lse, delta = (torch.empty(len(rows), q.shape[1], device=q.device) for _ in range(2))
    for head in range(q.shape[1]):
        qh, gh = (x[rows, head].to(precision) for x in (q, grad_out))
        kh, vh = (x[:, head // group].to(precision) for x in (k, v))
        scores = (qh @ kh.T * scale).float().masked_fill_(~mask, -torch.inf)
        lse[:, head] = torch.logsumexp(scores, 1)
        weights = _weights(scores, lse[:, head].unsqueeze(1))
        del scores
        out_h = (weights.to(precision) @ vh).float()
        grad_weights = (gh @ vh.T).float()
        if precision == torch.float32:
            delta[:, head] = (weights * grad_weights).sum(1)
        else:
            delta[:, head] = (out_h * gh.float()).sum(1)
        grad_scores = weights.mul_(grad_weights.sub_(delta[:, head].unsqueeze(1)))
        grad_q[:, head] = (grad_scores.to(precision) @ kh).float() * scale
        out[:, head] = out_h
    return out, lse, delta, grad_q


def attend_cols(q, k, v, grad_out, lse, delta, bands, cols, precision=torch.float32):
    """Rows `cols` of grad_k and grad_v [m, hkv, d] (float32), given lse and delta [total_q, hq] of all rows."""
    scale = q.shape[-1] ** -0.5
    group = q.shape[1] // k.shape[1]
    mask = attended(transposed(bands), cols, q.shape[0])
    grad_k, grad_v = (torch.zeros(len(cols), *k.shape[1:], device=q.device) for _ in range(2))
    for head in range(q.shape[1]):
        qh, gh = (x[:, head].to(precision) for x in (q, grad_out))
        kh, vh = (x[cols, head // group].to(precision) for x in (k, v))
        scores = (kh @ qh.T * scale).float().masked_fill_(~mask, -torch.inf)
        weights = _weights(scores, lse[:, head])
        grad_v[:, head // group] += (weights.to(precision) @ gh).float()
        grad_scores = weights.mul_((vh @ gh.T).float().sub_(delta[:, head]))
        grad_k[:, head // group] += (grad_scores.to(precision) @ qh).float() * scale
    return grad_k, grad_v


def _weights(scores, lse):
    # A row without keys has lse = -inf; its weights are 0.
    return scores.sub_(lse.masked_fill(lse == -torch.inf, 0)).exp_()


def in_chunks(function, indices, num_others):
    """Concatenates function(chunk) over chunks whose masks take about a gigabyte in float32."""
    size = max(1, (1 << 28) // max(1, num_others))
    parts = [function(chunk) for chunk in indices.split(size)]
    return tuple(torch.cat(tensors) for tensors in zip(*parts))


def relative_error(actual, expected):
    """||actual - expected|| / ||expected||. A NaN anywhere gives infinity."""
    difference = torch.linalg.vector_norm(actual.float() - expected.float())
    error = (difference / torch.linalg.vector_norm(expected.float()).clamp_min(1e-20)).item()
    return error if error == error else float("inf")
