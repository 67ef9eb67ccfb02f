"""The library under test, called through its C interface. The bindings are those of packages/ffa-kernel/test/cuda."""

import ctypes
import os
import sys
from pathlib import Path

import torch

PACKAGE = Path(__file__).resolve().parents[2] / "packages/ffa-kernel"
sys.path.append(str(PACKAGE / "test/cuda"))

import ffa  # noqa: E402  (the path is set above)

_P, _I32, _I64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64


class PlanArgs(ctypes.Structure):
    """MagiFfaPlanArgs of ffa.h."""

    _fields_ = [
        ("struct_size", _I64), ("q_ranges", _P), ("k_ranges", _P), ("attn_type_map", _P), ("bands", _P), ("workspace", _P),
        ("workspace_size", _I64), ("num_slices", _I32), ("total_q", _I32), ("total_k", _I32), ("tile_rows", _I32),
        ("tile_cols", _I32), ("transposed", _I32), ("align_cols", _I32), ("device", _I32), ("stream", _P),
    ]


class DevicePlanner:
    """Plans slices on the GPU. `address` is that of the plan."""

    def __init__(self, mask, q, k, kernel, backward):
        if ffa.library.magi_ffa_sizeof_plan_args() != ctypes.sizeof(PlanArgs):
            raise RuntimeError("MagiFfaPlanArgs is not what the library has")
        sizes = ffa.tile_sizes(q, k, kernel)
        column = lambda *names: torch.tensor(
            [[getattr(slice_, name) for name in names] for slice_ in mask.slices], dtype=torch.int32, device=q.device)
        self._slices = column("q0", "q1"), column("k0", "k1"), column("type")
        self._args = PlanArgs(
            ctypes.sizeof(PlanArgs), *(tensor.data_ptr() for tensor in self._slices), None, None, 0, len(mask.slices),
            mask.total_q, mask.total_k, sizes.backward_rows if backward else sizes.forward_rows,
            sizes.backward_cols if backward else sizes.forward_cols, int(backward),
            int(backward or sizes.forward_align_cols), q.device.index, torch.cuda.current_stream().cuda_stream)
        size = _I64()
        ffa.call(ffa.library.magi_ffa_plan_workspace_size, ctypes.byref(self._args), ctypes.byref(size))
        self._workspace = torch.empty(size.value, dtype=torch.uint8, device=q.device)
        self._args.workspace = self._workspace.data_ptr()
        self._args.workspace_size = size.value
        self._plan = ffa.PlanStruct(struct_size=ctypes.sizeof(ffa.PlanStruct))
        self.address = ctypes.addressof(self._plan)

    def plan(self):
        ffa.call(ffa.library.magi_ffa_plan, ctypes.byref(self._args), ctypes.byref(self._plan))
        return self


class Attention:
    """Calls for one problem, planned beforehand. Results are in out, lse and grads, which every call overwrites."""

    def __init__(self, mask, q, k, v, grad_out, kernel=0, allocate=None, deterministic=False, planner="device", build=None):
        """allocate(shape, dtype) makes the tensors of the results. build: path of the library, see load()."""
        load(build)
        self._library = ffa.library
        self._inputs = q, k, v
        self._grad_out = grad_out
        self._kernel = kernel
        self._deterministic = deterministic
        self._forward_plan, self._backward_plan = (
            make_plan(mask, q, k, kernel, backward, planner) for backward in (False, True))
        allocate = allocate or (lambda shape, dtype: torch.empty(shape, dtype=dtype, device=q.device))
        self.out = allocate(q.shape, q.dtype)
        self.lse = allocate(q.shape[:2], torch.float32)
        self.grads = tuple(allocate(x.shape, x.dtype) for x in (q, k, v))

    def forward(self):
        ffa.library = self._library
        ffa.forward(*self._inputs, plan=self._forward_plan, out=self.out, lse=self.lse, kernel=self._kernel)
        return self.out

    def backward(self):
        """Uses what forward left in out and lse."""
        ffa.library = self._library
        ffa.backward(*self._inputs, self.out, self.lse, self._grad_out, plan=self._backward_plan, grads=(*self.grads, None),
                     kernel=self._kernel, deterministic=self._deterministic)
        return self.grads


_builds = {}


def load(build=None):
    """Makes a build of the library the one that ffa calls."""
    path = build or os.environ.get("MAGI_ATTENTION_FFA_CUDA_LIB", str(PACKAGE / "lib/libmagi_ffa_cuda.so"))
    if path not in _builds:
        ffa.load(path)
        _builds[path] = ffa.library
    ffa.library = _builds[path]


def make_plan(mask, q, k, kernel, backward, planner):
    """One slice at most needs no planning. Others are planned on the GPU, or with planner="host" by the tests' planner."""
    if planner == "host" or len(mask.slices) <= 1:
        slices = [(s.q0, s.q1, s.k0, s.k1, s.type) for s in mask.slices]
        return ffa.make_plan(q, k, slices, kernel, backward)
    return DevicePlanner(mask, q, k, kernel, backward).plan()
