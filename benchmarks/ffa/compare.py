#!/usr/bin/env python3
"""Builds of the attention library against each other, in turns: whether a change to a kernel pays. See --help.

The rate of a GPU drifts with its temperature by more than most changes bring, so rates of different runs say little.
"""

import argparse

import torch

import ours
import timing
from masks import MASKS, area
from run import NUM_HEADS_KV, NUM_HEADS_Q


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    words = lambda text: text.split(",")
    numbers = lambda text: [int(word) for word in text.split(",")]
    parser.add_argument("builds", nargs="+", help="paths of libmagi_ffa_cuda.so; the first is what the others are compared with")
    parser.add_argument("--masks", type=words, default=list(MASKS), help=f"of {','.join(MASKS)}")
    parser.add_argument("--tokens", type=numbers, default=[2048, 8192])
    parser.add_argument("--dims", type=numbers, default=[128])
    parser.add_argument("--passes", type=words, default=["forward", "backward"])
    parser.add_argument("--repetitions", type=int, default=10)
    return parser.parse_args()


def main():
    options = arguments()
    timing.warm_up_clock()
    print("TFLOP/s of each build, and what they are of the first")
    for head_dim in options.dims:
        for name in options.masks:
            for tokens in options.tokens:
                compare(MASKS[name](tokens), head_dim, options)


def compare(mask, head_dim, options):
    torch.manual_seed(0)
    q, k, v, grad_out = (
        torch.randn(mask.total_q, heads, head_dim, device="cuda", dtype=torch.bfloat16)
        for heads in (NUM_HEADS_Q, NUM_HEADS_KV, NUM_HEADS_KV, NUM_HEADS_Q))
    calls = [ours.Attention(mask, q, k, v, grad_out, build=build) for build in options.builds]
    for call in calls:
        call.forward()  # backward uses its results
    for direction in options.passes:
        times = timing.median_ms([getattr(call, direction) for call in calls], options.repetitions)
        work = 4 * area(mask) * head_dim * NUM_HEADS_Q * (1 if direction == "forward" else 2.5)
        rates = " ".join(f"{work / ms / 1e9:7.1f} ({times[0] / ms:5.3f})" for ms in times)
        print(f"{mask.name:20} {mask.total_q:>7} {head_dim:>4} {direction:9} {rates}", flush=True)


if __name__ == "__main__":
    main()
