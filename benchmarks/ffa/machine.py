"""What a reader needs to place the numbers."""

import datetime
import subprocess
from pathlib import Path

import torch


def describe(commit=None):
    properties = torch.cuda.get_device_properties(0)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="minutes"),
        "commit": commit or _output("git", "rev-parse", "--short", "HEAD"),
        "gpu": properties.name,
        "multiprocessors": properties.multi_processor_count,
        "driver": _query("driver_version"),
        "cuda": torch.version.cuda,
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(),
    }


def clocks():
    """Clock, power and temperature at this moment, as the driver reports them."""
    return _query("clocks.sm,power.draw,temperature.gpu")


def _query(fields):
    return _output("nvidia-smi", "--id=0", f"--query-gpu={fields}", "--format=csv,noheader")


def _output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
