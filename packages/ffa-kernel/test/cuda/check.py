"""Compares generated calls with float64: python3 check.py --lib libmagi_ffa_cuda.so [--kernel 80] [--cases 100] [--backward]"""
import argparse
import random
from collections import defaultdict
from dataclasses import dataclass

import torch

import ffa
from plan import BI_CAUSAL, CAUSAL, FULL, INV_CAUSAL
from reference import Attention

DEVICE = torch.device('cuda', 0)
EPSILON = {torch.bfloat16: 2.0 ** -8, torch.float16: 2.0 ** -11}
MARGIN = 2048  # elements of NaN before and after each tensor
EDGES = [1, 2, 7, 15, 16, 17, 31, 33, 63, 64, 65, 95, 127, 128, 129, 191, 192, 193, 255, 256, 257, 383, 385]


def guarded(shape, dtype, fill=None):
    """A tensor amid NaNs, of NaNs itself unless filled."""
    count = torch.Size(shape).numel()
    memory = torch.full((count + 2 * MARGIN,), torch.nan, dtype=dtype, device=DEVICE)
    tensor = memory[MARGIN:MARGIN + count].view(shape)
    if fill is not None:
        tensor.copy_(fill)
    tensor.guard = memory
    return tensor


def check_guard(name, tensor):
    memory = tensor.guard
    assert memory[:MARGIN].isnan().all() and memory[-MARGIN:].isnan().all(), f'{name}: written beyond its memory'


@dataclass
class Case:
    total_q: int
    total_k: int
    heads_q: int
    heads_kv: int
    head_dim: int
    dtype: torch.dtype
    slices: list
    scale: float | None
    softcap: float
    sink_tokens: int
    sink_layout: str
    float_out: bool
    deterministic: bool
    seed: int


def random_slices(rng, total_q, total_k):
    kind = rng.choice(['few', 'few', 'many', 'documents', 'dense', 'none'])
    if kind == 'none':
        return []
    if kind == 'dense':
        return [(0, total_q, 0, total_k, rng.randrange(4))]
    if kind == 'documents':
        slices, at = [], 0
        end = min(total_q, total_k)
        while at < end:
            size = min(rng.randint(1, 300), end - at)
            slices.append((at, at + size, at, at + size, rng.choice([FULL, CAUSAL])))
            at += size
        return slices
    ranges = lambda total: sorted(rng.sample(range(total + 1), 2)) if total > 0 else [0, 0]
    count = rng.randint(2, 5) if kind == 'few' else rng.randint(10, 40)
    return [(*ranges(total_q), *ranges(total_k), rng.randrange(4)) for _ in range(count)]


def random_case(seed, head_dims, dtypes):
    rng = random.Random(seed)
    size = lambda: rng.choice(EDGES) if rng.random() < 0.6 else rng.randint(1, 700)
    total_q = size()
    total_k = total_q if rng.random() < 0.4 else size()
    heads_q, heads_kv = rng.choice([(1, 1), (2, 2), (2, 1), (4, 1), (8, 2), (8, 1), (3, 1), (6, 2), (32, 1), (64, 1)])
    return Case(total_q, total_k, heads_q, heads_kv, rng.choice(head_dims), rng.choice(dtypes),
                random_slices(rng, total_q, total_k), rng.choice([None, None, None, 0.3, -0.2, 0.0]),
                rng.choice([0.0, 0.0, 1.5, 20.0]), rng.choice([0, 0, 1, 3, 8]), rng.choice(['sh', 'ssh']),
                rng.random() < 0.3, rng.random() < 0.3, seed)


class Tally:
    """Squared errors of many cases, since one small case alone may be lucky."""

    def __init__(self):
        self.kernel, self.yardstick = defaultdict(float), defaultdict(float)

    def compare(self, name, actual, expected, yardstick, dtype):
        assert not actual.isnan().any(), f'{name}: NaN'
        error = (actual.double() - expected).norm().item()
        expected_error = (yardstick - expected).norm().item()
        largest = expected.abs().max().item() if expected.numel() > 0 else 0.0
        bound = 4 * expected_error + 2 * EPSILON[dtype] * largest + 1e-4 * expected.numel() ** 0.5
        assert error <= bound, f'{name}: error {error:.3g} is above its bound {bound:.3g}, norm {expected.norm():.3g}'
        self.kernel[name] += error ** 2
        self.yardstick[name] += expected_error ** 2

    def ratios(self):
        return {name: (squares / max(self.yardstick[name], 1e-30)) ** 0.5 for name, squares in self.kernel.items()}


def check_logits(name, actual, expected):
    infinite = expected == -torch.inf
    assert ((actual == -torch.inf) == infinite).all(), f'{name}: wrong rows are -infinity'
    error = ((actual.double() - expected).abs() / expected.abs().clamp(min=1.0))[~infinite]
    assert error.numel() == 0 or error.max() <= 3e-5, f'{name}: error {error.max():.3g}'


def inputs_of(case):
    generator = torch.Generator(DEVICE).manual_seed(case.seed)
    randn = lambda *shape: torch.randn(shape, generator=generator, device=DEVICE)
    tensor = lambda *shape: guarded(shape, case.dtype, randn(*shape))
    q, grad_out = (tensor(case.total_q, case.heads_q, case.head_dim) for _ in range(2))
    k, v = (tensor(case.total_k, case.heads_kv, case.head_dim) for _ in range(2))
    sink = None
    if case.sink_tokens > 0:
        shape = (case.total_q, case.sink_tokens, case.heads_q)[0 if case.sink_layout == 'ssh' else 1:]
        sink = guarded(shape, torch.float32, randn(*shape))
    return q, k, v, grad_out, sink


def run_case(case, kernel, backward, tally):
    q, k, v, grad_out, sink = inputs_of(case)
    options = dict(scale=case.scale, softcap=case.softcap, sink=sink, sink_layout=case.sink_layout)
    exact = Attention(q, k, v, case.slices, **options)
    low = Attention(q, k, v, case.slices, **options, low=True)
    out = guarded(q.shape, torch.float32 if case.float_out else case.dtype)
    lse, max_logits = guarded(q.shape[:2], torch.float32), guarded((case.heads_q,), torch.float32)
    ffa.forward(q, k, v, case.slices, out=out, lse=lse, max_logits=max_logits, kernel=kernel, **options)
    torch.cuda.synchronize()
    for name, tensor in [('out', out), ('lse', lse), ('max_logits', max_logits)]:
        check_guard(name, tensor)
    expected_out, expected_lse, expected_max = exact.results()
    check_logits('lse', lse, expected_lse)
    check_logits('max_logits', max_logits, expected_max)
    tally.compare('out', out, expected_out, low.results()[0], case.dtype)
    if not backward:
        return
    grad_dtype = torch.float32 if case.float_out else case.dtype
    grads = [guarded(x.shape, grad_dtype) for x in (q, k, v)] + [None if sink is None else guarded(sink.shape, torch.float32)]
    saved_out = guarded(q.shape, case.dtype, out)
    ffa.backward(q, k, v, saved_out, lse, grad_out, case.slices, grads=grads, deterministic=case.deterministic, kernel=kernel,
                 **options)
    torch.cuda.synchronize()
    for name, actual, expected, yardstick in zip(['dq', 'dk', 'dv', 'dsink'], grads, exact.gradients(grad_out),
                                                 low.gradients(grad_out)):
        if actual is None:
            continue
        check_guard(name, actual)
        tally.compare(name, actual, expected, yardstick, case.dtype)


def check_accumulate(kernel, head_dim, tally):
    """Keys in two parts, one call each, give what one call gives."""
    case = Case(200, 300, 4, 2, head_dim, torch.bfloat16, [(0, 200, 0, 130, FULL), (30, 170, 130, 300, CAUSAL)], None, 0.0, 2,
                'sh', True, False, 1)
    q, k, v, _, sink = inputs_of(case)
    out, lse, _ = ffa.forward(q, k, v, case.slices[:1], sink=sink, out_dtype=torch.float32, kernel=kernel)
    ffa.forward(q, k, v, case.slices[1:], out=out, lse=lse, accumulate=True, kernel=kernel)
    exact, low = (Attention(q, k, v, case.slices, sink=sink, low=low) for low in (False, True))
    check_logits('lse', lse, exact.results()[1])
    tally.compare('out', out, exact.results()[0], low.results()[0], case.dtype)


def check_repeats(kernel, head_dim, backward):
    """The same bits each time, forward always, backward on request."""
    case = Case(1500, 1500, 8, 2, head_dim, torch.bfloat16, [(0, 1000, 0, 1000, CAUSAL), (500, 1500, 300, 1500, BI_CAUSAL)], None,
                0.0, 0, 'sh', False, True, 2)
    q, k, v, grad_out, _ = inputs_of(case)
    first = None
    for _ in range(50):
        out, lse, _ = ffa.forward(q, k, v, case.slices, kernel=kernel)
        results = [out, lse]
        if backward:
            results += ffa.backward(q, k, v, out, lse, grad_out, case.slices, deterministic=True, kernel=kernel)[:3]
        first = first or results
        assert all(torch.equal(a, b) for a, b in zip(first, results)), 'results differ between repeats'


def check_sparse_equals_dense(kernel, head_dim):
    """A plan with arrays gives the same bits as arithmetic in the kernel."""
    for one in [(3, 500, 5, 700, CAUSAL), (0, 513, 0, 770, FULL), (0, 500, 10, 700, INV_CAUSAL), (1, 513, 3, 770, BI_CAUSAL)]:
        slices = [one]
        case = Case(513, 770, 4, 1, head_dim, torch.bfloat16, slices, None, 0.0, 0, 'sh', False, False, 3)
        q, k, v, _, _ = inputs_of(case)
        results = [ffa.forward(q, k, v, plan=ffa.make_plan(q, k, slices, kernel, dense=dense), kernel=kernel)[:2]
                   for dense in (False, True)]
        assert all(torch.equal(a, b) for a, b in zip(*results)), f'dense differs from sparse: {slices}'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--lib', required=True)
    parser.add_argument('--kernel', type=int, default=80)
    parser.add_argument('--cases', type=int, default=100)
    parser.add_argument('--first', type=int, default=0)
    parser.add_argument('--dims', type=int, nargs='+', help='default: those that the kernels are for')
    parser.add_argument('--backward', action='store_true')
    parser.add_argument('--repeats', action='store_true', help='also: the same bits each time')
    options = parser.parse_args()
    ffa.load(options.lib)
    tally = Tally()
    options.dims = options.dims or [64, 128, 96, 192, 256] + ([72, 8, 136] if options.kernel == 80 else [])
    failures = 0
    for seed in range(options.first, options.first + options.cases):
        case = random_case(seed, options.dims, [torch.bfloat16, torch.bfloat16, torch.float16])
        try:
            run_case(case, options.kernel, options.backward, tally)
        except (AssertionError, RuntimeError) as error:
            failures += 1
            print('FAILED', error, case if len(case.slices) < 8 else (case.seed, len(case.slices)), flush=True)
            if 'CUDA error' in str(error) or 'status 5' in str(error) or failures == 12:
                break
    checks = [lambda dim: check_accumulate(options.kernel, dim, tally),
              lambda dim: check_sparse_equals_dense(options.kernel, dim)]
    if options.repeats:
        checks.append(lambda dim: check_repeats(options.kernel, dim, options.backward))
    for dim in options.dims[:2]:
        for index, check in enumerate(checks):
            try:
                check(dim)
            except (AssertionError, RuntimeError) as error:
                failures += 1
                print('FAILED check', index, dim, error, flush=True)
    ratios = tally.ratios()
    failures += sum(ratio > 2 for ratio in ratios.values())
    print(f'{options.cases} cases, {failures} failures; errors relative to a dense computation:',
          {name: round(ratio, 3) for name, ratio in ratios.items()})
    raise SystemExit(failures > 0)


if __name__ == '__main__':
    main()
