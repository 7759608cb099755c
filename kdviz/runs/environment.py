"""What a number was measured with: versions, device, commit."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

import lightning
import torch
import torchvision

import kdviz


def environment() -> dict[str, Any]:
    """Versions, device and commit a number was measured with."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "kdviz": kdviz.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "lightning": lightning.__version__,
        "gpu": gpu,
        "cpu": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
    }


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        told = subprocess.run(
            command, cwd=Path(kdviz.__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip()
