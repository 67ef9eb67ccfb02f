"""Calls libmagi_ffa_cuda with PyTorch tensors.

    import ffa
    ffa.load('.../libmagi_ffa_cuda.so')
    out, lse, max_logits = ffa.forward(q, k, v, slices, kernel=80)
    dq, dk, dv, dsink = ffa.backward(q, k, v, out, lse, grad_out, slices, kernel=80)

q and out are [total_q, heads_q, head_dim], k and v [total_k, heads_kv, head_dim], lse [total_q, heads_q]; slices are
(q0, q1, k0, k1, type) with types as in plan.py.
"""
import ctypes

import torch

from plan import build_plan, slices_to_bands, transpose

P, I32, I64, F32 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_float
CODES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
LAYOUTS = {'sh': 0, 'ssh': 1}


def _struct(name, **members):
    return type(name, (ctypes.Structure,), {'_fields_': [('struct_size', I64), *members.items()]})


PlanStruct = _struct('PlanStruct', bands=P, tile_order=P, tile_runs=P, runs=P, run_bands=P, num_rows=I32, num_cols=I32,
                     tile_rows=I32, tile_cols=I32, num_tiles=I32, num_bands=I32)
ForwardArgs = _struct('ForwardArgs', plan=P, q=P, k=P, v=P, sink=P, out=P, lse=P, max_logits=P, total_q=I64, total_k=I64,
                      num_heads_q=I32, num_heads_kv=I32, head_dim=I32, dtype=I32, out_dtype=I32, sink_layout=I32,
                      sink_tokens=I32, accumulate=I32, num_threads=I32, softmax_scale=F32, softcap=F32, device=I32, kernel=I32,
                      sm_margin=I32, stream=P)
BackwardArgs = _struct('BackwardArgs', plan=P, q=P, k=P, v=P, sink=P, out=P, lse=P, grad_out=P, grad_q=P, grad_k=P, grad_v=P,
                       grad_sink=P, total_q=I64, total_k=I64, num_heads_q=I32, num_heads_kv=I32, head_dim=I32, dtype=I32,
                       grad_dtype=I32, sink_layout=I32, sink_tokens=I32, num_threads=I32, softmax_scale=F32, softcap=F32,
                       device=I32, kernel=I32, sm_margin=I32, deterministic=I32, stream=P)
TileSizes = _struct('TileSizes', forward_rows=I32, forward_cols=I32, backward_rows=I32, backward_cols=I32,
                    forward_align_cols=I32, kernel=I32)

library = None


def load(path):
    global library
    library = ctypes.CDLL(path)
    for name, struct in [('plan', PlanStruct), ('forward_args', ForwardArgs), ('backward_args', BackwardArgs),
                         ('tile_sizes', TileSizes)]:
        size = getattr(library, f'magi_ffa_sizeof_{name}')
        size.restype = I64
        assert size() == ctypes.sizeof(struct), name


def call(function, *args):
    """Raises a RuntimeError with the library's message unless the call succeeds."""
    message = ctypes.create_string_buffer(512)
    status = function(*args, message, 512)
    if status != 0:
        raise RuntimeError(f'status {status}: {message.value.decode()}')


def tile_sizes(q, k, kernel=0):
    sizes = TileSizes(struct_size=ctypes.sizeof(TileSizes))
    group = q.shape[1] // k.shape[1]
    call(library.magi_ffa_tile_sizes, q.shape[2], CODES[q.dtype], group, q.device.index, kernel, ctypes.byref(sizes))
    return sizes


class DevicePlan:
    """A plan as the library takes it; keeps the arrays alive."""

    def __init__(self, plan, device):
        names = ['tile_order', 'tile_runs', 'runs', 'run_bands']
        self.arrays = {name: getattr(plan, name) for name in names}
        dense = plan.runs is None
        self.bands = plan.bands
        if not dense:
            # One more element: an empty array must not have the address NULL.
            up = lambda a: torch.tensor([*a.reshape(-1).tolist(), 0], dtype=torch.int32, device=device)
            self.arrays = {name: up(array) for name, array in self.arrays.items()}
            self.bands = up(plan.bands)
        self.struct = PlanStruct(struct_size=ctypes.sizeof(PlanStruct), num_rows=plan.num_rows, num_cols=plan.num_cols,
                                 tile_rows=plan.tile_rows, tile_cols=plan.tile_cols, num_tiles=plan.num_tiles,
                                 num_bands=len(plan.bands))
        self.struct.bands = self.bands.ctypes.data if dense else self.bands.data_ptr()
        for name in names:
            setattr(self.struct, name, None if dense else self.arrays[name].data_ptr())
        self.address = ctypes.addressof(self.struct)


def make_plan(q, k, slices, kernel=0, backward=False, dense=True):
    sizes = tile_sizes(q, k, kernel)
    bands = slices_to_bands(slices)
    if backward:
        plan = build_plan(transpose(bands), k.shape[0], q.shape[0], sizes.backward_rows, sizes.backward_cols, True, dense)
    else:
        align = bool(sizes.forward_align_cols)
        plan = build_plan(bands, q.shape[0], k.shape[0], sizes.forward_rows, sizes.forward_cols, align, dense)
    return DevicePlan(plan, q.device)


def _common(q, k, v, plan, scale, softcap, sink, sink_layout, kernel, sm_margin):
    return dict(plan=plan.address, q=q.data_ptr(), k=k.data_ptr(), v=v.data_ptr(), total_q=q.shape[0], total_k=k.shape[0],
                num_heads_q=q.shape[1], num_heads_kv=k.shape[1], head_dim=q.shape[2], dtype=CODES[q.dtype],
                sink=None if sink is None else sink.data_ptr(), sink_layout=LAYOUTS[sink_layout],
                sink_tokens=0 if sink is None else sink.shape[-2],
                softmax_scale=q.shape[2] ** -0.5 if scale is None else scale, softcap=softcap, device=q.device.index,
                kernel=kernel, sm_margin=sm_margin, stream=torch.cuda.current_stream(q.device).cuda_stream)


def forward(q, k, v, slices=None, *, plan=None, scale=None, softcap=0.0, sink=None, sink_layout='sh', out=None, lse=None,
            out_dtype=None, accumulate=False, max_logits=None, kernel=0, sm_margin=0):
    """Writes into out, lse and max_logits where they are given. Returns all three; max_logits is None unless given."""
    plan = make_plan(q, k, slices, kernel) if plan is None else plan
    out = torch.empty_like(q, dtype=out_dtype or q.dtype) if out is None else out
    lse = torch.empty(q.shape[:2], dtype=torch.float32, device=q.device) if lse is None else lse
    args = ForwardArgs(struct_size=ctypes.sizeof(ForwardArgs), out=out.data_ptr(), lse=lse.data_ptr(),
                       max_logits=None if max_logits is None else max_logits.data_ptr(), out_dtype=CODES[out.dtype],
                       accumulate=int(accumulate),
                       **_common(q, k, v, plan, scale, softcap, sink, sink_layout, kernel, sm_margin))
    call(library.magi_ffa_forward, ctypes.byref(args))
    return out, lse, max_logits


def backward(q, k, v, out, lse, grad_out, slices=None, *, plan=None, scale=None, softcap=0.0, sink=None, sink_layout='sh',
             grads=None, grad_dtype=None, deterministic=False, kernel=0, sm_margin=0):
    """Writes into grads = (dq, dk, dv, dsink) where it is given. dsink is None without a sink."""
    plan = make_plan(q, k, slices, kernel, backward=True) if plan is None else plan
    if grads is None:
        empty = lambda x: torch.empty_like(x, dtype=grad_dtype or q.dtype)
        grads = (empty(q), empty(k), empty(v), None if sink is None else torch.empty_like(sink))
    dq, dk, dv, dsink = grads
    args = BackwardArgs(struct_size=ctypes.sizeof(BackwardArgs), out=out.data_ptr(), lse=lse.data_ptr(),
                        grad_out=grad_out.data_ptr(), grad_q=dq.data_ptr(), grad_k=dk.data_ptr(), grad_v=dv.data_ptr(),
                        grad_sink=None if dsink is None else dsink.data_ptr(), grad_dtype=CODES[dq.dtype],
                        deterministic=int(deterministic),
                        **_common(q, k, v, plan, scale, softcap, sink, sink_layout, kernel, sm_margin))
    call(library.magi_ffa_backward, ctypes.byref(args))
    return grads
