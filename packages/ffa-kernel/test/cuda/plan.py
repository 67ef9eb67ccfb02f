"""Tile plans (docs/notes/tile-plan.md) for tests: simple rather than fast. Bands are rows (row0, row1, col0, col1, lo, hi)."""
from dataclasses import dataclass

import numpy as np

UNBOUNDED = 1 << 30
FULL, CAUSAL, INV_CAUSAL, BI_CAUSAL = range(4)


def slices_to_bands(slices):
    """slices: (q0, q1, k0, k1, type). Returns the bands of the mask with rows = queries."""
    bands = []
    for q0, q1, k0, k1, kind in slices:
        lo = k0 - q0 if kind in (INV_CAUSAL, BI_CAUSAL) else -UNBOUNDED
        hi = k1 - q1 if kind in (CAUSAL, BI_CAUSAL) else UNBOUNDED
        bands.append((q0, q1, k0, k1, lo, hi))
    return bands


def transpose(bands):
    return [(c0, c1, r0, r1, -hi, -lo) for r0, r1, c0, c1, lo, hi in bands]


def clip(bands, num_rows, num_cols):
    """Shrinks bands to what they show; drops those that show nothing."""
    clipped = []
    for r0, r1, c0, c1, lo, hi in bands:
        c0, c1 = max(c0, 0), min(c1, num_cols)
        r0, r1 = max(r0, 0, c0 - hi), min(r1, num_rows, c1 - lo)
        if r0 >= r1 or c0 >= c1 or lo > hi:
            continue
        c0, c1 = max(c0, r0 + lo), min(c1, r1 + hi)
        lo = -UNBOUNDED if lo <= c0 - (r1 - 1) else lo
        hi = UNBOUNDED if hi >= c1 - 1 - r0 else hi
        clipped.append((r0, r1, c0, c1, lo, hi))
    return clipped


def area(bands, num_rows):
    """Cells of the union."""
    total = 0
    for row in range(num_rows):
        end = 0
        for first, last in sorted((max(c0, row + lo), min(c1, row + hi + 1)) for r0, r1, c0, c1, lo, hi in bands
                                  if r0 <= row < r1):
            total += max(0, last - max(first, end))
            end = max(end, last)
    return total


@dataclass
class Plan:
    num_rows: int
    num_cols: int
    tile_rows: int
    tile_cols: int
    bands: np.ndarray  # int32 [num_bands, 6]
    tile_order: np.ndarray | None = None  # None: dense
    tile_runs: np.ndarray | None = None
    runs: np.ndarray | None = None
    run_bands: np.ndarray | None = None

    @property
    def num_tiles(self):
        return -(-self.num_rows // self.tile_rows)


def build_plan(bands, num_rows, num_cols, tile_rows, tile_cols, align=False, dense=True):
    """align: columns on the grid and runs by column. dense: leave out the arrays where one band at most allows it."""
    bands = clip(bands, num_rows, num_cols)
    plan = Plan(num_rows, num_cols, tile_rows, tile_cols, np.array(bands, np.int32).reshape(-1, 6))
    if dense and len(bands) <= 1:
        return plan
    tile_runs, runs, run_bands, costs = [0], [], [], []
    for tile in range(plan.num_tiles):
        first, end = tile * tile_rows, min((tile + 1) * tile_rows, num_rows)
        found = _tile_runs(bands, first, end, num_cols, tile_cols, align)
        if not align:
            found.sort(key=lambda run: not run[2])
        for col, count, indices in found:
            runs.append((col, count, len(run_bands) if indices else 0, len(indices)))
            run_bands.extend(indices)
        tile_runs.append(len(runs))
        costs.append(sum(count * (1.3 if indices else 1.0) for _, count, indices in found))
    plan.tile_order = np.argsort(-np.array(costs), kind='stable').astype(np.int32)
    plan.tile_runs = np.array(tile_runs, np.int32)
    plan.runs = np.array(runs, np.int32).reshape(-1, 4)
    plan.run_bands = np.array(run_bands, np.int32)
    return plan


def _tile_runs(bands, first, end, num_cols, size, align):
    meeting = []  # column begin, column end, begin and end of the columns that all rows see, index
    for index, (r0, r1, c0, c1, lo, hi) in enumerate(bands):
        a, b = max(first, r0), min(end, r1)
        if a >= b:
            continue
        begin, stop = max(c0, a + lo), min(c1, b + hi)
        whole = (max(c0, end - 1 + lo), min(c1, first + hi + 1)) if (a, b) == (first, end) else (0, 0)
        meeting.append((begin, stop, *whole, index))
    meeting.sort()
    runs = []
    covered = 0
    while meeting := [m for m in meeting if m[1] > covered]:
        col = max(covered, meeting[0][0])
        col -= col % size if align else 0
        last = min(col + size, num_cols)
        full = [m for m in meeting if m[2] <= col and m[3] >= last]
        if full:
            stop = max(m[3] for m in full)
            count = (stop - col) // size if stop < num_cols else -(-(stop - col) // size)
            runs.append((col, count, []))
        else:
            count = 1
            inside = [m[4] for m in meeting if m[0] < last]
            is_full = len(inside) > 1 and _shows_all([bands[i] for i in inside], first, end, col, last)
            runs.append((col, 1, [] if is_full else inside))
        covered = col + count * size
    return runs


def _shows_all(bands, first, end, col, last):
    rows, cols = np.arange(first, end)[:, None], np.arange(col, last)[None, :]
    seen = np.zeros((end - first, last - col), bool)
    for r0, r1, c0, c1, lo, hi in bands:
        seen |= (rows >= r0) & (rows < r1) & (cols >= c0) & (cols < c1) & (cols - rows >= lo) & (cols - rows <= hi)
    return bool(seen.all())
