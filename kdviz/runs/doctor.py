"""What an installation needs, looked at one by one."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from kdviz.runs import embedded


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what.
        fine: whether kdviz works with it.
        told: what was found, and what to do if it is not fine.
    """

    name: str
    fine: bool
    told: str

    def as_dict(self) -> dict[str, object]:
        """The fields, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{'ok  ' if self.fine else 'FAIL'}  {self.name:<14} {self.told}"


def examine() -> list[Finding]:
    """Look at Python, PyTorch, the device, the notebook tools, the checkpoints and the disk."""
    looks: dict[str, Callable[[], tuple[bool, str]]] = {
        "python": _python,
        "torch": _torch,
        "device": _device,
        "evaluator": _evaluator,
        "notebooks": _notebooks,
        "checkpoints": _checkpoints,
        "disk": _disk,
    }
    findings = []
    for name, look in looks.items():
        try:
            findings.append(Finding(name, *look()))
        except Exception as error:  # a broken installation must not end its own diagnosis
            findings.append(Finding(name, False, _words(error)))
    return findings


def _words(error: Exception) -> str:
    told = str(error) or type(error).__name__
    return told if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {told}"


def _python() -> tuple[bool, str]:
    return sys.version_info >= (3, 11), f"{platform.python_version()} (3.11 or newer is needed)"


def _torch() -> tuple[bool, str]:
    import torch
    import torchvision
    from torchvision.ops import nms

    # A torchvision built for another torch imports, but has no compiled operators.
    kept = nms(torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2]]), torch.tensor([0.9, 0.8]), 0.5)
    return kept.tolist() == [0], f"torch {torch.__version__}, torchvision {torchvision.__version__}"


def _device() -> tuple[bool, str]:
    import torch

    if torch.cuda.is_available():
        return True, f"{torch.cuda.get_device_name()}, {torch.cuda.device_count()} in all"
    return True, f"no GPU; {torch.get_num_threads()} CPU threads (all notebooks work on these)"


def _evaluator() -> tuple[bool, str]:
    from kdviz.engine.coco_eval import evaluate_coco

    box = [4.0, 4.0, 20.0, 20.0]
    annotations = {
        "images": [{"id": 1, "width": 32, "height": 32}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "area": 400.0, "iscrowd": 0}
        ],
    }
    detections = [{"image_id": 1, "category_id": 1, "bbox": box, "score": 0.9}]
    ap = evaluate_coco(annotations, detections).stats["AP"]
    return abs(ap - 1.0) < 1e-9, f"a perfect detection has AP {ap:.3f}"


def _notebooks() -> tuple[bool, str]:
    missing = [
        name
        for name in ("ipykernel", "ipywidgets", "jupyterlab", "nbconvert", "papermill")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        return False, f"{', '.join(missing)} missing: pip install 'kdviz[notebooks]'"
    return True, "JupyterLab, papermill and widgets are installed"


def _checkpoints() -> tuple[bool, str]:
    names = embedded.names()
    damaged = [name for name in names if not embedded.is_intact(name)]
    if damaged:
        return False, f"damaged: {', '.join(damaged)}; restore the folder {embedded.FOLDER}"
    if not names:
        return False, f"{embedded.FOLDER / 'checkpoints.yaml'} names none; restore it"
    return True, f"{len(names)} embedded, checksums agree"


def _disk() -> tuple[bool, str]:
    with tempfile.NamedTemporaryFile(dir=Path.cwd()) as file:
        file.write(b"kdviz")
    return True, f"{Path.cwd()} can be written"
