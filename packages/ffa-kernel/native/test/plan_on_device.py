"""Checks the planner on the device against brute force, and times it.

    python3 plan_on_device.py path/to/libmagi_ffa_cuda.so

Needs a GPU, torch and numpy. Every plan is read back and held against the matrix of its mask: each attended cell is visited
once, full runs hide nothing, the band lists give the mask, the order of tiles falls by cost.
"""

import ctypes
import random
import sys

import numpy as np
import torch

UNBOUNDED = 1 << 30


class PlanArgs(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_int64)]
    _fields_ += [(name, ctypes.c_void_p) for name in ("q_ranges", "k_ranges", "attn_type_map", "bands", "workspace")]
    _fields_ += [("workspace_size", ctypes.c_int64)]
    _fields_ += [
        (name, ctypes.c_int32)
        for name in "num_slices total_q total_k tile_rows tile_cols transposed align_cols device".split()
    ]
    _fields_ += [("stream", ctypes.c_void_p)]


class Plan(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_int64)]
    _fields_ += [(name, ctypes.c_void_p) for name in ("bands", "tile_order", "tile_runs", "runs", "run_bands")]
    _fields_ += [
        (name, ctypes.c_int32) for name in "num_rows num_cols tile_rows tile_cols num_tiles num_bands".split()
    ]


class Planner:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        assert self.library.magi_ffa_sizeof_plan_args() == ctypes.sizeof(PlanArgs)
        assert self.library.magi_ffa_sizeof_plan() == ctypes.sizeof(Plan)
        self.message = ctypes.create_string_buffer(512)

    def _call(self, function, *arguments):
        if function(*arguments, self.message, len(self.message)) != 0:
            raise RuntimeError(self.message.value.decode())

    def prepare(self, q_ranges, k_ranges, types, total_q, total_k, tile_rows, tile_cols, transposed, align, bands=None):
        """Device slices to arguments with a workspace full of garbage."""
        args = PlanArgs(struct_size=ctypes.sizeof(PlanArgs))
        args.q_ranges, args.k_ranges = q_ranges.data_ptr(), k_ranges.data_ptr()
        args.attn_type_map = None if types is None else types.data_ptr()
        args.bands = None if bands is None else bands.data_ptr()
        args.num_slices, args.total_q, args.total_k = len(q_ranges), total_q, total_k
        args.tile_rows, args.tile_cols, args.transposed, args.align_cols = tile_rows, tile_cols, transposed, align
        args.stream = torch.cuda.current_stream().cuda_stream
        size = ctypes.c_int64()
        self._call(self.library.magi_ffa_plan_workspace_size, ctypes.byref(args), ctypes.byref(size))
        # A guard behind it shows writes beyond the end.
        workspace = torch.full((size.value // 4 + 256,), -0x21524111, dtype=torch.int32, device="cuda")
        args.workspace, args.workspace_size = workspace.data_ptr(), size.value
        return args, workspace

    def run(self, args):
        plan = Plan(struct_size=ctypes.sizeof(Plan))
        self._call(self.library.magi_ffa_plan, ctypes.byref(args), ctypes.byref(plan))
        return plan


def read_back(plan, workspace):
    memory = workspace.cpu().numpy()
    assert (memory[-256:] == -0x21524111).all(), "wrote beyond the workspace"
    array = lambda pointer, count: memory[(at := (pointer - workspace.data_ptr()) // 4) : at + count]
    tile_runs = array(plan.tile_runs, plan.num_tiles + 1)
    num_runs = int(tile_runs[-1])
    runs = array(plan.runs, 4 * num_runs).reshape(-1, 4)
    lists = int(max([r[2] + r[3] for r in runs if r[3] > 0], default=0))
    return {
        "bands": array(plan.bands, 6 * plan.num_bands).reshape(-1, 6),
        "tile_order": array(plan.tile_order, plan.num_tiles),
        "tile_runs": tile_runs,
        "runs": runs,
        "run_bands": array(plan.run_bands, lists),
    }


def mask_of(q_ranges, k_ranges, types, total_q, total_k):
    mask = np.zeros((total_q, total_k), bool)
    q, k = np.arange(total_q)[:, None], np.arange(total_k)[None, :]
    for (q0, q1), (k0, k1), code in zip(q_ranges, k_ranges, types):
        if not 0 <= code <= 3:
            continue
        cells = (q >= q0) & (q < q1) & (k >= k0) & (k < k1)
        if code & 1:
            cells &= k - q <= k1 - q1
        if code & 2:
            cells &= k - q >= k0 - q0
        mask |= cells
    return mask


def check_plan(plan, arrays, mask, align, crowded):
    """Returns the numbers of full tiles found and of tiles that are full. A crowded plan is ordered by what did not fit."""
    num_rows, num_cols = mask.shape
    rows, cols = np.arange(num_rows)[:, None], np.arange(num_cols)[None, :]
    cells = [
        (rows >= b[0]) & (rows < b[1]) & (cols >= b[2]) & (cols < b[3]) & (cols - rows >= b[4]) & (cols - rows <= b[5])
        for b in arrays["bands"].astype(np.int64)
    ]
    visited = np.zeros(mask.shape, np.int32)
    costs, found, true = [], 0, 0
    for tile in range(plan.num_tiles):
        band = slice(tile * plan.tile_rows, min((tile + 1) * plan.tile_rows, num_rows))
        runs = arrays["runs"][arrays["tile_runs"][tile] : arrays["tile_runs"][tile + 1]]
        cost, seen_full, last = 0, False, -1
        for begin, count, list_begin, list_count in runs.tolist():
            assert count > 0 and 0 <= begin and begin + (count - 1) * plan.tile_cols < num_cols
            if align:
                assert begin % plan.tile_cols == 0 and begin > last
                last = begin
            else:
                assert not (seen_full and list_count > 0), "a masked run behind a full one"
            seen_full |= list_count == 0
            end = min(begin + count * plan.tile_cols, num_cols)
            here = mask[band, begin:end]
            visited[band, begin:end] += 1
            if list_count == 0:
                assert here.all(), "a full run hides cells"
                found += count
            else:
                union = np.zeros(here.shape, bool)
                for index in arrays["run_bands"][list_begin : list_begin + list_count]:
                    union |= cells[index][band, begin:end]
                assert (union == here).all(), "the bands of a run are not its mask"
            for column in range(begin, end, plan.tile_cols):
                true += mask[band, column : min(column + plan.tile_cols, num_cols)].all()
            cost += count * (13 if list_count > 0 else 10)
        costs.append(cost)
    assert visited.max(initial=0) <= 1, "a cell visited twice"
    assert not (mask & (visited == 0)).any(), "a cell not visited"
    order = arrays["tile_order"]
    assert sorted(order.tolist()) == list(range(plan.num_tiles))
    step = max(costs, default=0) // 256 + 1
    for a, b in zip(order[:-1], order[1:]):
        assert crowded or costs[a] + step > costs[b] and (costs[a] != costs[b] or a < b)
    return found, true


def random_slices(total_q, total_k, count, wild):
    def one_range(total):
        a, b = sorted((random.randint(0, total), random.randint(0, total)))
        if wild and random.random() < 0.2:
            return random.choice([(b, a), (a - 40, b), (a, b + 40), (-(2**31), b), (a, 2**31 - 1), (2**31 - 1, -(2**31))])
        return a, b

    types = [random.randint(-2, 6) if wild and random.random() < 0.1 else random.randint(0, 3) for _ in range(count)]
    return [one_range(total_q) for _ in range(count)], [one_range(total_k) for _ in range(count)], types


def on_device(values, shape):
    return torch.tensor(values, dtype=torch.int64).to(torch.int32).reshape(shape).cuda()


def check_case(planner, slices, total_q, total_k, tile_rows, tile_cols, transposed, align, as_bands=False, crowded=False):
    q_ranges, k_ranges, types = slices
    mask = mask_of(q_ranges, k_ranges, types, total_q, total_k)
    count = len(types)
    tensors = on_device(q_ranges, (count, 2)), on_device(k_ranges, (count, 2)), on_device(types, (count,))
    bands = None
    if as_bands:
        rows = [
            (*q, *k, k[0] - q[0] if t & 2 else -UNBOUNDED, k[1] - q[1] if t & 1 else UNBOUNDED)
            for q, k, t in zip(q_ranges, k_ranges, types)
        ]
        bands = on_device(rows, (count, 6))
    args, workspace = planner.prepare(*tensors, total_q, total_k, tile_rows, tile_cols, transposed, align, bands)
    plan = planner.run(args)
    arrays = read_back(plan, workspace)
    result = check_plan(plan, arrays, mask.T if transposed else mask, align, crowded)
    workspace.fill_(-0x21524111)
    again = read_back(planner.run(args), workspace)
    assert all((arrays[name] == again[name]).all() for name in arrays), "two plans of one mask differ"
    return result


def check_generated(planner, cases):
    found = true = 0
    for _ in range(cases):
        total_q, total_k = random.randint(0, 150), random.randint(0, 150)
        count = random.choice([0, 1, 1, 2, 3, 5, 8, 40, 200])
        wild = random.random() < 0.4
        slices = random_slices(total_q, total_k, count, wild)
        sizes = random.choice([1, 3, 8, 16, 64, 128]), random.choice([1, 5, 16, 64, 128])
        flags = random.random() < 0.5, random.random() < 0.5
        f, t = check_case(planner, slices, total_q, total_k, *sizes, *flags, as_bands=not wild and random.random() < 0.3)
        found, true = found + f, true + t
    print(f"{cases} generated masks agree; {found} of {true} full tiles found")


def check_crowded(planner):
    """So many slices over all rows that the workspace has no room for their lists."""
    total = 1200
    starts = sorted(random.sample(range(total - 3), 300))
    slices = [(0, total)] * 300, [(s, s + 1 + i % 3) for i, s in enumerate(starts)], [0] * 300
    check_case(planner, slices, total, total, 1, 16, False, False, crowded=True)
    narrow = [(0, total)] * 120, [(10 * i, 10 * i + 1 + i % 3) for i in range(120)], [0] * 120
    check_case(planner, narrow, total, total, 1, 2, False, True, crowded=True)
    check_case(planner, narrow, total, total, 1, 2, True, True, crowded=True)
    print("crowded masks agree")


def documents(total, count, shuffled=False):
    cuts = [0, *sorted(random.sample(range(1, total), count - 1)), total]
    ranges = list(zip(cuts[:-1], cuts[1:]))
    if shuffled:
        random.shuffle(ranges)
    return ranges, ranges, [1] * count


def time_plan(planner, name, slices, total, tile_rows, tile_cols, transposed):
    count = len(slices[2])
    tensors = on_device(slices[0], (count, 2)), on_device(slices[1], (count, 2)), on_device(slices[2], (count,))
    args, workspace = planner.prepare(*tensors, total, total, tile_rows, tile_cols, transposed, transposed)
    # What waits for the GPU here is enqueued long before it runs, so that launches cost no time.
    times = []
    for _ in range(30):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda._sleep(200_000)
        begin.record()
        planner.run(args)
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) * 1000)
    times.sort()
    print(
        f"{name:40s} tiles {tile_rows:3d} x {tile_cols:3d} {'backward' if transposed else 'forward '}"
        f"  median {times[15]:6.1f} us  best {times[0]:6.1f} us  workspace {args.workspace_size / 2**20:.1f} MiB"
    )


def main():
    planner = Planner(sys.argv[1])
    random.seed(5)
    cases = int(sys.argv[2]) if len(sys.argv) > 2 else 600
    check_generated(planner, cases)
    check_crowded(planner)
    total = 65536
    for name, slices in [
        ("64k, 1,000 documents", documents(total, 1000)),
        ("64k, 1,000 documents, shuffled", documents(total, 1000, True)),
        ("64k, 10,000 documents", documents(total, 10000)),
        ("64k, 8 slices", documents(total, 8)),
        ("64k, 1,000 slices at random", random_slices(total, total, 1000, False)),
    ]:
        for tiles in [(16, 128, False), (128, 128, False), (128, 128, True)]:
            time_plan(planner, name, slices, total, *tiles)
    time_plan(planner, "1M, 10,000 documents", documents(2**20, 10000), 2**20, 16, 128, False)


if __name__ == "__main__":
    main()
