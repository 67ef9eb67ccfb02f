#!/usr/bin/env python3
"""Correctness of the CUDA library on problems too large for the float64 reference. Ends with status 1 if anything is wrong.

Compared with a float32 computation on the same GPU; an error may be twice that of a dense computation in the tensors' precision.
Outputs are filled with NaN before each run, and the memory around all tensors is poisoned.
"""

import argparse
import random
import sys
import time

import torch

import accuracy
import ours
from check_cases import GROUPS
from guarded import GuardedMemory

CHECKED_ROWS = 256
ALL_ROWS_UP_TO = 2048


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernels", type=lambda text: [int(word) for word in text.split(",")], default=[80, 90])
    parser.add_argument("--groups", type=lambda text: text.split(","), default=list(GROUPS), help=f"of {','.join(GROUPS)}")
    parser.add_argument("--planner", choices=["device", "host"], default="device", help="who plans masks of several slices")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which no further case is begun")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    started = time.monotonic()
    failures = 0
    for kernel in options.kernels:
        for group in options.groups:
            random.seed(options.seed)
            torch.manual_seed(options.seed)
            done, worst = 0, {}
            for case in GROUPS[group]():
                if time.monotonic() - started > options.budget:
                    print("out of time")
                    sys.exit(1)
                try:
                    problems, shares = run(case, kernel, options.planner)
                except Exception as error:
                    problems, shares = [f"{type(error).__name__}: {error}"], {}
                done += 1
                worst = {what: max(share, worst.get(what, 0)) for what, share in {**worst, **shares}.items()}
                for problem in problems:
                    failures += 1
                    print(f"WRONG sm{kernel} {group} {case}: {problem}", flush=True)
            shares = ", ".join(f"{what} {share:.2f}" for what, share in worst.items())
            print(f"sm{kernel} {group}: {done} cases; largest share of the allowed error: {shares}", flush=True)
    print(f"{failures} problems, {time.monotonic() - started:.0f} s")
    sys.exit(1 if failures else 0)


def run(case, kernel, planner):
    """(problems, {tensor: error / allowed error}) of one case."""
    memory = GuardedMemory()
    dtype = getattr(torch, case.dtype)
    q_shape = (case.mask.total_q, case.num_heads_kv * case.group_size, case.head_dim)
    k_shape = (case.mask.total_k, case.num_heads_kv, case.head_dim)
    q, k, v, grad_out = (memory.normal(shape, dtype) for shape in (q_shape, k_shape, k_shape, q_shape))
    call = ours.Attention(case.mask, q, k, v, grad_out, kernel, memory.poisoned, deterministic=case.repeats > 1, planner=planner)

    call.forward()
    problems = [] if torch.isfinite(call.out).all() else ["out is not finite"]
    call.backward()
    outputs = {"out": call.out, "lse": call.lse, "grad_q": call.grads[0], "grad_k": call.grads[1], "grad_v": call.grads[2]}
    torch.cuda.synchronize()
    problems += [f"{what} has NaN" for what, tensor in outputs.items() if torch.isnan(tensor).any()]
    problems += memory.damage()

    bands = torch.tensor(case.mask.bands(), dtype=torch.int64, device="cuda").reshape(-1, 6)
    count = lambda total: total if total <= ALL_ROWS_UP_TO else CHECKED_ROWS
    rows, cols = (accuracy.sampled(total, count(total)) for total in (case.mask.total_q, case.mask.total_k))
    errors = accuracy.forward_errors(q, k, v, bands, rows, call.out, call.lse)
    errors |= accuracy.backward_errors(q, k, v, grad_out, bands, rows, cols, call.out, call.lse, call.grads)
    problems += [f"{what} is off by {e:.2e}, allowed are {a:.2e}" for what, (e, a) in errors.items() if not e <= a]

    if case.repeats > 1:
        problems += unequal_repeats(call, outputs, case.repeats)
    return problems, {what: error / allowed for what, (error, allowed) in errors.items()}


def unequal_repeats(call, outputs, repeats):
    first = {what: tensor.clone() for what, tensor in outputs.items()}
    unequal = set()
    for _ in range(repeats - 1):
        for tensor in outputs.values():
            tensor.fill_(float("nan"))
        call.forward()
        call.backward()
        for what, tensor in outputs.items():
            # As integers: -0 and 0 are not the same bits.
            bits = torch.int32 if tensor.dtype == torch.float32 else torch.int16
            if not torch.equal(tensor.view(bits), first[what].view(bits)):
                unequal.add(what)
    return [f"{what} differs between repeats" for what in sorted(unequal)]


if __name__ == "__main__":
    main()
