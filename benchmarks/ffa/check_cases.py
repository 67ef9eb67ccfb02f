"""The problems of check.py, in groups. Pure Python, seeded by the caller."""

import itertools
import random
from dataclasses import dataclass

from masks import BI_CAUSAL, CAUSAL, FULL, INV_CAUSAL, MASKS, Mask, Slice


@dataclass(frozen=True)
class Case:
    mask: Mask
    head_dim: int
    group_size: int
    dtype: str
    num_heads_kv: int = 2
    repeats: int = 1

    def __str__(self):
        sizes = f"{self.mask.total_q}x{self.mask.total_k}"
        return f"{self.mask.name} {sizes}, dim {self.head_dim}, {self.num_heads_kv} kv heads x {self.group_size}, {self.dtype}"


KINDS = list(itertools.product((128, 64), (8, 1, 2), ("bfloat16", "float16")))


def tails():
    """Lengths around the sizes of tiles."""
    lengths = [1, 2, 7, 15, 16, 17, 31, 33, 63, 64, 65, 79, 81, 127, 128, 129, 175, 177, 191, 193, 255, 256, 257, 300, 383, 385]
    for index, total_q in enumerate(lengths):
        for total_k in random.sample(lengths, 3):
            kind = KINDS[(index * 3 + total_k) % len(KINDS)]
            yield Case(_one_slice(total_q, total_k, random.randrange(4)), *kind)


def small_slices():
    """Documents of 1 to 300 tokens, of all types."""
    for kind in KINDS:
        yield Case(_packed("slices of 1 to 300", 6000, lambda: random.randint(1, 300)), *kind)


def many_slices():
    """10,000 slices."""
    yield Case(_packed("10,000 documents", 65536, lambda: 7, count=10_000), 128, 8, "bfloat16", num_heads_kv=1)
    yield Case(_scattered("10,000 slices anywhere", 32768, 10_000, 64), 128, 8, "bfloat16", num_heads_kv=1)
    yield Case(_scattered("10,000 slices anywhere", 32768, 10_000, 64), 64, 1, "float16", num_heads_kv=1)


def one_million():
    """One slice of a million tokens."""
    tokens = 1 << 20
    yield Case(_one_slice(tokens, tokens, CAUSAL), 128, 2, "bfloat16", num_heads_kv=1)


def empty_rows():
    """Rows and keys that take part in nothing."""
    for kind in KINDS:
        slices = (Slice(100, 700, 50, 400, CAUSAL), Slice(900, 1500, 1200, 1900), Slice(1700, 1800, 0, 30, CAUSAL))
        yield Case(Mask("gaps", 2000, 2000, slices), *kind)
    yield Case(Mask("nothing", 300, 500, ()), 128, 8, "bfloat16")


def overlapping():
    """Slices that cover cells several times."""
    for index, kind in enumerate(KINDS * 2):
        yield Case(_scattered("overlapping", 1000 + 37 * index, 3 + index, 700), *kind)


def table():
    """The masks of the benchmark."""
    for index, build in enumerate(MASKS.values()):
        for offset in (0, 1):
            yield Case(build(16384), *KINDS[(2 * index + offset) % len(KINDS)])


def head_dims():
    """The head_dims that are not in the benchmark."""
    for head_dim, group_size, dtype in itertools.product((96, 192, 256), (8, 1), ("bfloat16", "float16")):
        yield Case(_packed("slices of 1 to 300", 3000, lambda: random.randint(1, 300)), head_dim, group_size, dtype)
        yield Case(MASKS["sliding-window"](4096), head_dim, group_size, dtype)


def repeats():
    """50 runs, bit by bit. Backward in deterministic mode."""
    for kind in KINDS[:8]:
        yield Case(_packed("slices of 1 to 300", 3000, lambda: random.randint(1, 300)), *kind, repeats=50)
    yield Case(MASKS["varlen-causal"](8192), 128, 8, "bfloat16", num_heads_kv=8, repeats=50)
    yield Case(MASKS["causal"](4096), 128, 8, "bfloat16", num_heads_kv=8, repeats=50)


GROUPS = {function.__name__: function for function in (
    tails, small_slices, many_slices, empty_rows, overlapping, table, head_dims, repeats, one_million)}


def _one_slice(total_q, total_k, type):
    return Mask("one slice", total_q, total_k, (Slice(0, total_q, 0, total_k, type),))


def _packed(name, total, length, count=None):
    """Square slices along the diagonal."""
    slices, begin = [], 0
    while begin < total and (count is None or len(slices) < count):
        end = min(total, begin + length())
        slices.append(Slice(begin, end, begin, end, random.choice((FULL, CAUSAL, INV_CAUSAL, BI_CAUSAL))))
        begin = end
    return Mask(name, total, total, tuple(slices))


def _scattered(name, total, count, longest):
    """Slices of random place, size and type."""
    def interval():
        begin = random.randrange(total)
        return begin, min(total, begin + random.randint(1, longest))

    return Mask(name, total, total, tuple(Slice(*interval(), *interval(), random.randrange(4)) for _ in range(count)))
