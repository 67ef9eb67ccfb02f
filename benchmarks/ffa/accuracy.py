"""Whether results are right: each error is compared with that of a dense computation in the same precision."""

import torch

import reference

ALLOWED = 2.0  # times the error of the dense computation
ALLOWED_LSE = 1e-3  # largest absolute error of lse
FLOOR = 1e-6  # relative errors below are rounding in float32, whatever the dense computation does


def forward_errors(q, k, v, bands, rows, out, lse):
    """{tensor: (error, allowed)} of the rows of out [total_q, hq, d] and lse [total_q, hq]; lse may be None."""
    grad = torch.zeros_like(q)
    expected = _rows(q, k, v, grad, bands, rows, torch.float32)
    dense = _rows(q, k, v, grad, bands, rows, q.dtype)
    errors = {"out": _compared(out[rows], dense[0].to(q.dtype), expected[0])}
    if lse is not None:
        errors["lse"] = (_largest_difference(lse[rows], expected[1]), ALLOWED_LSE)
    return errors


def backward_errors(q, k, v, grad_out, bands, rows, cols, out, lse, grads):
    """{tensor: (error, allowed)} of rows of grad_q and rows `cols` of grad_k and grad_v.

    If `rows` are all rows, the gradients of keys are compared with those of an exact forward. Otherwise the given out
    and lse stand for the rows that were not computed here.
    """
    exact = _rows(q, k, v, grad_out, bands, rows, torch.float32)
    dense = _rows(q, k, v, grad_out, bands, rows, q.dtype)
    if len(rows) == q.shape[0]:
        statistics = [(x[1], x[2]) for x in (exact, dense)]
    else:
        delta = torch.stack([(out[:, h].float() * grad_out[:, h].float()).sum(1) for h in range(q.shape[1])], 1)
        statistics = [(lse, delta)] * 2
    (exact_k, exact_v), (dense_k, dense_v) = (
        reference.in_chunks(
            lambda chunk: reference.attend_cols(q, k, v, grad_out, *given, bands, chunk, precision), cols, q.shape[0])
        for given, precision in zip(statistics, (torch.float32, q.dtype))
    )
    grad_q, grad_k, grad_v = grads
    return {
        "grad_q": _compared(grad_q[rows], dense[3].to(q.dtype), exact[3]),
        "grad_k": _compared(grad_k[cols], dense_k.to(q.dtype), exact_k),
        "grad_v": _compared(grad_v[cols], dense_v.to(q.dtype), exact_v),
    }


def are_right(errors):
    return all(error <= allowed for error, allowed in errors.values())


def sampled(total, count, device="cuda"):
    """Indices to check: the first, the last and random ones between; all of them, if there are no more than `count`."""
    if total <= count:
        return torch.arange(total, device=device)
    inner = torch.randperm(total - 2, device=device)[: count - 2] + 1
    ends = torch.tensor([0, total - 1], device=device)
    return torch.cat((ends, inner)).sort().values


def _rows(q, k, v, grad_out, bands, rows, precision):
    return reference.in_chunks(
        lambda chunk: reference.attend_rows(q, k, v, grad_out, bands, chunk, precision), rows, k.shape[0])


def _compared(actual, dense, expected):
    allowed = ALLOWED * reference.relative_error(dense, expected) + FLOOR
    return reference.relative_error(actual, expected), allowed


def _largest_difference(actual, expected):
    both_empty = (actual == -torch.inf) & (expected == -torch.inf)
    difference = torch.where(both_empty, 0, (actual - expected).abs()).max().item()
    return difference if difference == difference else float("inf")
