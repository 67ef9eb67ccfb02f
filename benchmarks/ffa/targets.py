"""What the kernels have to reach, by row of the table. Pure Python."""

import json
from pathlib import Path

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())

DENSE = ("full", "causal")


def ratio_targets(mask, tokens, head_dim, direction):
    """[(peer, ratio)]: the rate must be at least `ratio` times the peer's of the same run."""
    forward = direction == "forward"
    if head_dim == 64:
        return [("cudnn", 1.0)] if mask in DENSE and tokens == 8192 else []
    if head_dim != 128:
        return []
    if mask in DENSE:
        if tokens >= 8192:
            return [("cudnn", 1.05)]
        return [("cudnn", 1.05 if forward and mask == "causal" else 1.0)]
    if tokens >= 8192:
        return [("flex", 1.8 if forward else 1.6)]
    if tokens == 2048:
        return [("flex", 2.5 if forward else 1.6)]
    return []


def recorded_rates(mask, tokens, head_dim, direction, ceiling):
    """{peer: TFLOP/s} of kernels that are not in the run, corrected by the ratio of the two runs' matrix products."""
    if head_dim != 128:
        return {}
    index = 0 if direction == "forward" else 1
    correction = ceiling / RECORDED["cublas_bf16_8192_tflops"]
    return {
        peer: round(RECORDED[peer][mask][str(tokens)][index] * correction, 1)
        for peer in ("fa3", "ffa")
        if str(tokens) in RECORDED[peer].get(mask, {})
    }


def judged(row, ceiling):
    """The row's targets: [{against, needed, reached, met}], in TFLOP/s."""
    mask, tokens, head_dim, direction = (row[key] for key in ("mask", "tokens", "head_dim", "direction"))
    ours = row["tflops"].get("ours")
    if ours is None:
        return []
    needs = [
        (peer, ratio * row["tflops"][peer])
        for peer, ratio in ratio_targets(mask, tokens, head_dim, direction)
        if row["tflops"].get(peer) is not None
    ]
    if mask not in DENSE and tokens in (8192, 32768):
        recorded = recorded_rates(mask, tokens, head_dim, direction, ceiling)
        peer = "ffa" if mask == "varlen-block-causal" else "fa3"
        needs += [(f"{peer} (recorded)", recorded[peer])] if peer in recorded else []
    return [
        {"against": peer, "needed": round(needed, 1), "reached": ours, "met": ours >= needed} for peer, needed in needs
    ]
