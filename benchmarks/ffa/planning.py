"""Device time of planning a mask on the GPU."""

import torch

import ours
import timing
from masks import CAUSAL, Mask, Slice

TOKENS = 1 << 16
DOCUMENTS = 1000


def microseconds(kernel=0):
    """{"forward", "backward"}: planning 64 k tokens in 1,000 causal documents, 64 query and 8 key heads, head_dim 128."""
    ours.load()
    ends = [TOKENS * (index + 1) // DOCUMENTS for index in range(DOCUMENTS)]
    slices = tuple(Slice(begin, end, begin, end, CAUSAL) for begin, end in zip([0, *ends], ends))
    mask = Mask("1,000 documents", TOKENS, TOKENS, slices)
    q, k = (torch.empty(1, heads, 128, device="cuda", dtype=torch.bfloat16) for heads in (64, 8))
    planners = [ours.DevicePlanner(mask, q, k, kernel, backward) for backward in (False, True)]
    times = timing.median_ms([planner.plan for planner in planners], repetitions=20)
    return {direction: round(1000 * ms, 1) for direction, ms in zip(("forward", "backward"), times)}
