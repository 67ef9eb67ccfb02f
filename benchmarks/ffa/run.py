#!/usr/bin/env python3
"""Attention on one GPU against cuDNN and FlexAttention, over masks, lengths and head sizes. See --help."""

import argparse
import os
import subprocess
import sys
import time

import report
from masks import MASKS, area

NUM_HEADS_Q = 64
NUM_HEADS_KV = 8
CHECKED_ROWS = 64


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    words = lambda text: text.split(",")
    numbers = lambda text: [int(word) for word in text.split(",")]
    parser.add_argument("--masks", type=words, default=list(MASKS), help=f"of {','.join(MASKS)}")
    parser.add_argument("--tokens", type=numbers, default=[1 << n for n in range(10, 17)])
    parser.add_argument("--dims", type=numbers, default=[128, 64])
    parser.add_argument("--passes", type=words, default=["forward", "backward"])
    parser.add_argument("--peers", type=words, default=["cudnn", "flex"], help="of cudnn,flex; or none")
    parser.add_argument("--kernel", type=int, default=0, help="0 the library's choice, 80 or 90")
    parser.add_argument("--planner", choices=["device", "host"], default="device", help="who plans masks of several slices")
    parser.add_argument("--no-ours", action="store_true", help="time the peers alone")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which no further row is begun")
    parser.add_argument("--compilers", type=int, default=0,
                        help="processes that compile FlexAttention for all rows beforehand; 0 compiles row by row")
    parser.add_argument("--compile-only", action="store_true", help="compile FlexAttention and time nothing")
    parser.add_argument("--commit", help="what to record as the commit where there is no repository")
    parser.add_argument("--out", default="ffa-h200.json")
    parser.add_argument("--merge", nargs="+", metavar="JSON", help="make --out from the files of several runs, and end")
    return parser.parse_args()


def main():
    options = arguments()
    if options.merge:
        runs, rows = report.merge(options.merge)
        report.save(options.out, runs, rows)
        show(runs, rows)
        return
    started = time.monotonic()
    options.peers = [peer for peer in options.peers if peer != "none"]
    cases = [(m, t, d) for d in options.dims for m in options.masks for t in options.tokens]
    if options.compilers and "flex" in options.peers:
        compile_beforehand(options)

    import machine
    import timing

    if options.compile_only:
        for case in cases:
            measure(case, options)
        return
    timing.warm_up_clock()
    run = {**machine.describe(options.commit), "command": " ".join(sys.argv[1:]), "num_heads_q": NUM_HEADS_Q,
           "num_heads_kv": NUM_HEADS_KV, "dtype": "bfloat16", "repetitions": options.repetitions,
           "ceilings_before": timing.ceilings()}
    print(run, flush=True)
    if not options.no_ours:
        import planning

        run["planning_us"] = planning.microseconds(options.kernel)
        print("planning of 64 k tokens in 1,000 documents, in microseconds:", run["planning_us"])
    ceiling = report.ceiling_of(run)
    rows = []
    print(report.HEADER)
    for case in cases:
        if time.monotonic() - started > options.budget:
            print(f"out of time before {case}")
            break
        for row in measure(case, options):
            rows.append({**report.finish(row, ceiling), "run": 0})
            print(report.line(rows[-1], ceiling), flush=True)
        report.save(options.out, [run], rows)
    run["clocks_after"] = machine.clocks()
    run["ceilings_after"] = timing.ceilings()
    report.save(options.out, [run], rows)
    print(report.FOOTER)
    print("ceilings after:", run["ceilings_after"], run["clocks_after"], f"{time.monotonic() - started:.0f} s")


def measure(case, options):
    """The rows of one mask, length and head size, without what follows from the times."""
    import torch

    import accuracy
    import peers
    import timing

    name, tokens, head_dim = case
    mask = MASKS[name](tokens)
    torch.manual_seed(tokens + head_dim)
    shape = lambda heads: (tokens, heads, head_dim)
    q, k, v, grad_out = (
        torch.randn(shape(heads), device="cuda", dtype=torch.bfloat16)
        for heads in (NUM_HEADS_Q, NUM_HEADS_KV, NUM_HEADS_KV, NUM_HEADS_Q))

    calls = {}
    if not (options.no_ours or options.compile_only):
        import ours

        calls["ours"] = ours.Attention(mask, q, k, v, grad_out, options.kernel, planner=options.planner)
    failures = {}
    for peer in options.peers:
        try:
            prepared = peers.PEERS[peer](mask, q, k, v, grad_out)
            if prepared and options.compile_only:
                for direction in options.passes:
                    getattr(prepared, direction)()
            if prepared:
                calls[peer] = prepared
        except Exception as error:  # a peer that cannot do a row must not end the run
            failures[peer] = f"{type(error).__name__}: {error}"[:300]
            print(f"{peer} failed at {case}: {failures[peer]}", flush=True)
    if options.compile_only:
        return []

    bands = torch.tensor(mask.bands(), dtype=torch.int64, device="cuda")
    indices = accuracy.sampled(tokens, CHECKED_ROWS)
    rows = []
    for direction in options.passes:
        ms = timing.median_ms([getattr(call, direction) for call in calls.values()], options.repetitions)
        # One tensor of results per candidate is alive at a time: at 64 k tokens they are large.
        errors = {}
        for who, call in calls.items():
            if direction == "forward":
                errors[who] = accuracy.forward_errors(q, k, v, bands, indices, call.forward(), getattr(call, "lse", None))
            elif who == "ours":
                out, grads = call.forward(), call.backward()
                errors[who] = accuracy.backward_errors(
                    q, k, v, grad_out, bands, indices, indices, out, call.lse, grads)
        rows.append({
            "mask": name, "tokens": tokens, "head_dim": head_dim, "direction": direction, "area": area(mask),
            "num_heads_q": NUM_HEADS_Q, "ms": {who: round(time, 5) for who, time in zip(calls, ms)},
            "errors": {who: {what: f"{e:.2e} of {a:.2e}" for what, (e, a) in found.items()} for who, found in errors.items()},
            "correct": all(accuracy.are_right(found) for found in errors.values()),
            **({"failures": failures} if failures else {}),
        })
    return rows


def compile_beforehand(options):
    """Compiles in several processes, which leave the code in the compiler's cache on disk. One mask a process."""
    started = time.monotonic()
    waiting = [(mask, dim, tokens) for tokens in options.tokens for dim in options.dims for mask in options.masks]
    running = []
    while waiting or running:
        running = [process for process in running if process.poll() is None]
        while waiting and len(running) < options.compilers:
            mask, dim, tokens = waiting.pop(0)
            command = [sys.executable, __file__, "--compile-only", "--peers", "flex", "--masks", mask, "--dims", str(dim),
                       "--tokens", str(tokens), "--passes", ",".join(options.passes)]
            running.append(subprocess.Popen(command, env={**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "1"}))
        time.sleep(0.2)
    print(f"compiled FlexAttention in {time.monotonic() - started:.0f} s", flush=True)


def show(runs, rows):
    print(report.HEADER)
    for row in rows:
        print(report.line(row, report.ceiling_of(runs[row["run"]])))
    print(report.FOOTER)


if __name__ == "__main__":
    main()
