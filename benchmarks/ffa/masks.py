"""The masks of the benchmark, as slices and as bands. Pure Python: needs neither a GPU nor PyTorch."""

import json
from dataclasses import dataclass
from pathlib import Path

FULL, CAUSAL, INV_CAUSAL, BI_CAUSAL = range(4)
UNBOUNDED = 1 << 30

WINDOW = 1024  # rows before its own that a row of the sliding window sees
BLOCK = 1024  # rows of a block of the block-causal mask

_DOCUMENTS = {int(total): lengths for total, lengths in json.loads(
    (Path(__file__).parent / "documents.json").read_text()).items()}


@dataclass(frozen=True)
class Slice:
    """A rectangle of queries [q0, q1) and keys [k0, k1) with a mask type."""

    q0: int
    q1: int
    k0: int
    k1: int
    type: int = FULL

    def band(self) -> tuple[int, int, int, int, int, int]:
        """row0, row1, col0, col1, lo, hi: row r sees column c iff it is inside and lo <= c - r <= hi."""
        lo = self.k0 - self.q0 if self.type in (INV_CAUSAL, BI_CAUSAL) else -UNBOUNDED
        hi = self.k1 - self.q1 if self.type in (CAUSAL, BI_CAUSAL) else UNBOUNDED
        return self.q0, self.q1, self.k0, self.k1, lo, hi


@dataclass(frozen=True)
class Mask:
    """Slices over total_q queries and total_k keys; the mask is their union."""

    name: str
    total_q: int
    total_k: int
    slices: tuple[Slice, ...]
    document_lengths: tuple[int, ...] = ()

    def bands(self):
        return [slice_.band() for slice_ in self.slices]


def area(mask: Mask) -> int:
    """Attended cells of a mask whose slices do not overlap, exactly."""
    return sum(band_area(band) for band in mask.bands())


def band_area(band) -> int:
    row0, row1, col0, col1, lo, hi = band
    if row1 <= row0 or col1 <= col0 or hi < lo:
        return 0
    # Row r sees min(col1, r + hi + 1) - max(col0, r + lo) columns, where that is positive. Both bounds are
    # linear on at most two pieces each, so sums over the pieces between their corners are exact.
    corners = sorted({row0, row1, *(c for c in (col1 - hi - 1, col0 - lo, col1 - lo, col0 - hi - 1) if row0 < c < row1)})
    total = 0
    for begin, end in zip(corners, corners[1:]):
        first, last = (min(col1, r + hi + 1) - max(col0, r + lo) for r in (begin, end - 1))
        if max(first, last) > 0:
            total += (first + last) * (end - begin) // 2
    return total


def full(tokens):
    return Mask("full", tokens, tokens, (Slice(0, tokens, 0, tokens),))


def causal(tokens):
    return Mask("causal", tokens, tokens, (Slice(0, tokens, 0, tokens, CAUSAL),))


def varlen_full(tokens):
    slices = tuple(Slice(begin, end, begin, end) for begin, end in _documents(tokens))
    return Mask("varlen-full", tokens, tokens, slices, document_lengths(tokens))


def varlen_causal(tokens):
    slices = tuple(Slice(begin, end, begin, end, CAUSAL) for begin, end in _documents(tokens))
    return Mask("varlen-causal", tokens, tokens, slices, document_lengths(tokens))


def sliding_window(tokens):
    """Each row sees itself and the WINDOW rows before it; the first rows have fewer."""
    head = min(WINDOW, tokens)
    slices = [Slice(0, head, 0, head, CAUSAL)]
    if tokens > head:
        slices.append(Slice(head, tokens, 0, tokens, BI_CAUSAL))
    return Mask("sliding-window", tokens, tokens, tuple(slices))


def varlen_block_causal(tokens):
    """Each block of a document sees the document from its begin to the end of the block."""
    slices = []
    for begin, end in _documents(tokens):
        for block in range(begin, end, BLOCK):
            stop = min(end, block + BLOCK)
            slices.append(Slice(block, stop, begin, stop))
    return Mask("varlen-block-causal", tokens, tokens, tuple(slices), document_lengths(tokens))


MASKS = {
    "full": full,
    "causal": causal,
    "varlen-full": varlen_full,
    "varlen-causal": varlen_causal,
    "sliding-window": sliding_window,
    "varlen-block-causal": varlen_block_causal,
}


def document_lengths(tokens) -> tuple[int, ...]:
    return tuple(_DOCUMENTS[tokens])


def _documents(tokens):
    begin = 0
    for length in document_lengths(tokens):
        yield begin, begin + length
        begin += length
