"""Device time of calls, measured with CUDA events."""

import statistics
import time

import torch


def warm_up_clock(seconds=0.5):
    """Keeps the matrix units busy, so that the clock settles where sustained work leaves it."""
    a, b = (torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(20):
            a @ b
        torch.cuda.synchronize()


def median_ms(calls, repetitions=10, warm_ups=3):
    """Median device milliseconds of each call. They run in turns, so that heat and clock meet all alike.

    All launches of the measurement are enqueued behind one pause of the device: no call waits for the host.
    """
    torch.cuda.synchronize()
    for _ in range(warm_ups):
        for call in calls:
            call()
        torch.cuda.synchronize()
    started = time.perf_counter()
    for call in calls:
        call()
    host_seconds = time.perf_counter() - started
    torch.cuda.synchronize()

    events = [[(_event(), _event()) for _ in range(repetitions)] for _ in calls]
    _pause(1.5 * host_seconds * repetitions + 0.002)
    for repetition in range(repetitions):
        for call, pairs in zip(calls, events):
            begin, end = pairs[repetition]
            begin.record()
            call()
            end.record()
    torch.cuda.synchronize()
    return [statistics.median(begin.elapsed_time(end) for begin, end in pairs) for pairs in events]


def ceilings():
    """What this machine can do now: the rate of a large matrix product and of a copy, which bound everything else."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    source = torch.randint(0, 255, (1 << 31,), device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)
    out = torch.empty_like(a)
    # Not in turns: a copy between two products would let the device cool.
    (product_ms,) = median_ms([lambda: torch.matmul(a, b, out=out)])
    (copy_ms,) = median_ms([lambda: target.copy_(source)])
    return {
        "cublas_bf16_8192_tflops": round(2 * 8192**3 / product_ms / 1e9, 1),
        "device_copy_tb_per_s": round(2 * source.numel() / copy_ms / 1e9, 2),
    }


def _event():
    return torch.cuda.Event(enable_timing=True)


def _pause(seconds):
    # The clock of the device is at most 2 GHz, so this is at least as long as asked for.
    torch.cuda._sleep(int(min(seconds, 2.0) * 2e9))
