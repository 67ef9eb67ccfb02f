"""Tensors with poisoned memory before and after them."""

import math

import torch

GUARD_BYTES = 1 << 16


class GuardedMemory:
    """Allocates tensors inside of larger blocks of NaN, and finds out later whether anybody wrote around them."""

    def __init__(self):
        self._blocks = []

    def poisoned(self, shape, dtype):
        """A tensor that is NaN everywhere."""
        guard = GUARD_BYTES // dtype.itemsize
        size = math.prod(shape)
        block = torch.full((size + 2 * guard,), float("nan"), dtype=dtype, device="cuda")
        self._blocks.append((block, guard, size))
        return block[guard : guard + size].view(shape)

    def normal(self, shape, dtype):
        """A tensor of N(0, 1)."""
        return self.poisoned(shape, dtype).copy_(torch.randn(shape, device="cuda"))

    def damage(self):
        """One sentence for each tensor whose surroundings were written to."""
        found = []
        for index, (block, guard, size) in enumerate(self._blocks):
            for name, edge in (("before", block[:guard]), ("after", block[guard + size :])):
                if not torch.isnan(edge).all():
                    found.append(f"memory {name} tensor {index} was written to")
        return found
