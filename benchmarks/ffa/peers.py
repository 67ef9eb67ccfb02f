"""The peers that PyTorch brings: cuDNN's attention and FlexAttention.

A peer prepares what may be prepared once (layouts, block masks, compiled code) and gives one call forward and one
backward. Neither call allocates a mask or moves a layout; backward runs alone, after one forward outside of the timing.
"""

from dataclasses import dataclass
from typing import Callable

import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention

import masks


@dataclass
class Calls:
    """forward() -> out, backward() -> (grad_q, grad_k, grad_v); all [tokens, heads, head_dim]."""

    forward: Callable
    backward: Callable


def cudnn(mask, q, k, v, grad_out):
    """cuDNN through PyTorch's operators, or None for a mask that it lacks. Query heads share key heads without copies."""
    if mask.name not in ("full", "causal"):
        return None
    is_causal = mask.name == "causal"
    q, k, v, grad_out = (_heads_first(x) for x in (q, k, v, grad_out))
    ops = torch.ops.aten
    saved = ops._scaled_dot_product_cudnn_attention(q, k, v, None, True, 0.0, is_causal, False)
    out, lse, cum_q, cum_k, max_q, max_k, seed, offset = saved[:8]

    def forward():
        return _heads_last(ops._scaled_dot_product_cudnn_attention(q, k, v, None, True, 0.0, is_causal, False)[0])

    def backward():
        grads = ops._scaled_dot_product_cudnn_attention_backward(
            grad_out, q, k, v, out, lse, seed, offset, None, cum_q, cum_k, max_q, max_k, 0.0, is_causal)
        return tuple(_heads_last(grad) for grad in grads)

    return Calls(forward, backward)


def flex(mask, q, k, v, grad_out):
    """FlexAttention, compiled for these sizes, with its block mask made beforehand."""
    torch._dynamo.reset()  # one set of code at a time: earlier sizes must not make this one a dynamic shape
    block_mask = flex_block_mask(mask, q.device)
    q, k, v = (_heads_first(x).detach().requires_grad_() for x in (q, k, v))
    grad_out = _heads_first(grad_out)
    compiled = torch.compile(flex_attention, dynamic=False)

    def attend():
        return compiled(q, k, v, block_mask=block_mask, enable_gqa=True)

    out = attend()

    def forward():
        with torch.no_grad():
            return _heads_last(attend())

    def backward():
        grads = torch.autograd.grad(out, (q, k, v), grad_out, retain_graph=True)
        return tuple(_heads_last(grad) for grad in grads)

    return Calls(forward, backward)


PEERS = {"cudnn": cudnn, "flex": flex}


def flex_block_mask(mask, device, size=128):
    """What create_block_mask gives for the mask, without a matrix of all its cells; None for the full mask."""
    rule = flex_mask_rule(mask, device)
    if rule is None:
        return None
    begin, end = _row_intervals(mask, device)
    begin, end = (x.view(-1, size, 1) for x in (begin, end))
    keys = torch.arange(0, mask.total_k, size, device=device)
    seen = ((begin < keys + size) & (end > keys)).any(1)
    whole = ((begin <= keys) & (end >= keys + size)).all(1)

    def listed(blocks):
        order = torch.argsort(blocks.int(), dim=1, descending=True, stable=True).int()
        return blocks.sum(1, dtype=torch.int32)[None, None], order[None, None].contiguous()

    return BlockMask.from_kv_blocks(*listed(seen & ~whole), *listed(whole), BLOCK_SIZE=size, mask_mod=rule)


def _row_intervals(mask, device):
    """[begin, end) of the keys that each row sees. In the masks of the benchmark that is one interval."""
    begin = torch.zeros(mask.total_q, dtype=torch.int64, device=device)
    end = torch.zeros_like(begin)
    for row0, row1, col0, col1, lo, hi in mask.bands():
        rows = torch.arange(row0, row1, device=device)
        begin[row0:row1] = (rows + lo).clamp_min(col0)
        end[row0:row1] = (rows + hi + 1).clamp_max(col1)
    return begin, end


def flex_mask_rule(mask, device):
    """The mask in FlexAttention's terms, each in the form that its documentation shows."""
    if mask.name == "full":
        return None
    if mask.name == "causal":
        return lambda b, h, i, j: i >= j
    if mask.name == "sliding-window":
        return lambda b, h, i, j: (i >= j) & (i - j <= masks.WINDOW)
    lengths = torch.tensor(mask.document_lengths, device=device)
    document = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths)
    if mask.name == "varlen-full":
        return lambda b, h, i, j: document[i] == document[j]
    if mask.name == "varlen-causal":
        return lambda b, h, i, j: (document[i] == document[j]) & (i >= j)
    begin = (torch.cumsum(lengths, 0) - lengths)[document]
    block = (torch.arange(mask.total_q, device=device) - begin) // masks.BLOCK
    return lambda b, h, i, j: (document[i] == document[j]) & (block[i] >= block[j])


def _heads_first(x):
    """[tokens, heads, dim] -> [1, heads, tokens, dim], the same memory."""
    return x.transpose(0, 1).unsqueeze(0)


def _heads_last(x):
    return x.squeeze(0).transpose(0, 1)
