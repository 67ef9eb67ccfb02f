"""TFLOP/s by exact mask area: python3 timing.py --lib libmagi_ffa_cuda.so [--kernel 80] [--tokens 4096 8192] [--dims 128]"""
import argparse
import statistics

import torch

import ffa
from plan import CAUSAL, FULL, area, clip, slices_to_bands


def milliseconds(run, repeats):
    for _ in range(3):
        run()
    times = []
    for _ in range(repeats):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        times.append((begin, end))
    torch.cuda.synchronize()
    return statistics.median(begin.elapsed_time(end) for begin, end in times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--lib', required=True)
    parser.add_argument('--kernel', type=int, default=80)
    parser.add_argument('--tokens', type=int, nargs='+', default=[4096, 8192])
    parser.add_argument('--dims', type=int, nargs='+', default=[128])
    parser.add_argument('--heads', type=int, nargs=2, default=[64, 8])
    parser.add_argument('--repeats', type=int, default=10)
    parser.add_argument('--deterministic', action='store_true')
    options = parser.parse_args()
    ffa.load(options.lib)
    heads_q, heads_kv = options.heads
    for dim in options.dims:
        for tokens in options.tokens:
            randn = lambda heads: torch.randn(tokens, heads, dim, dtype=torch.bfloat16, device='cuda:0')
            q, k, v, grad_out = randn(heads_q), randn(heads_kv), randn(heads_kv), randn(heads_q)
            for name, kind in [('full', FULL), ('causal', CAUSAL)]:
                slices = [(0, tokens, 0, tokens, kind)]
                flops = 4 * area(clip(slices_to_bands(slices), tokens, tokens), tokens) * heads_q * dim
                plan = ffa.make_plan(q, k, slices, options.kernel)
                out, lse, _ = ffa.forward(q, k, v, plan=plan, kernel=options.kernel)
                forward = milliseconds(lambda: ffa.forward(q, k, v, plan=plan, out=out, lse=lse, kernel=options.kernel),
                                       options.repeats)
                plan = ffa.make_plan(q, k, slices, options.kernel, backward=True)
                grads = ffa.backward(q, k, v, out, lse, grad_out, plan=plan, kernel=options.kernel)
                backward = milliseconds(
                    lambda: ffa.backward(q, k, v, out, lse, grad_out, plan=plan, grads=grads, kernel=options.kernel,
                                         deterministic=options.deterministic), options.repeats)
                print(f'd{dim} {tokens:6d} {name:7s} forward {flops / forward / 1e9:6.1f}  backward '
                      f'{2.5 * flops / backward / 1e9:6.1f} TFLOP/s', flush=True)


if __name__ == '__main__':
    main()
