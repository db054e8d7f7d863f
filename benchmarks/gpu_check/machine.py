"""What this machine is: `python -m benchmarks.gpu_check.machine DEVICE` prints it as JSON.

A process of its own asks PyTorch, so that a broken driver takes nothing else along.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from typing import Any

from pool5.machine import cores, processor

# what it is imported by, and what it may be installed as
_PACKAGES = {
    "numpy": ("numpy",),
    "PIL": ("pillow",),
    "h5py": ("h5py",),
    "msgspec": ("msgspec",),
    "safetensors": ("safetensors",),
    "scipy": ("scipy",),
    "sklearn": ("scikit-learn",),
    "matplotlib": ("matplotlib",),
    "pyarrow": ("pyarrow",),
    "jinja2": ("jinja2",),
    "pytest": ("pytest",),
    "dvc": ("dvc",),
    "faiss": ("faiss-gpu", "faiss-cpu"),
    "openTSNE": ("openTSNE",),
    "simplejpeg": ("simplejpeg",),
    "timm": ("timm",),
    "triton": ("triton",),
}


def packages() -> dict[str, str | None]:
    """The version of each; None where it is not installed, and `?` where nobody knows."""
    return {name: _version(name, dists) for name, dists in _PACKAGES.items()}


def _version(name: str, distributions: tuple[str, ...]) -> str | None:
    if importlib.util.find_spec(name) is None:
        return None
    for distribution in distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "?"


def machine(device: str) -> dict[str, Any]:
    """The processor, the card, and the versions of what computes on them; no names of machines or people."""
    import torch
    import torchvision

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "machine": {
            "processor": processor(),
            "cores": cores(),
            "memory_gb": round(memory / 2**30, 1),
            "card": None if device == "cpu" else _card(torch, device),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version() if device != "cpu" else None,
            "driver": _driver() if device != "cpu" else None,
        }
        | packages(),
    }


def _card(torch: Any, device: str) -> dict[str, Any]:
    # a first product: a driver that only looks as if it were there fails here
    float(torch.ones(8, 8, device=device).sum())
    about = torch.cuda.get_device_properties(device)
    return {
        "name": about.name,
        "memory_gb": round(about.total_memory / 2**30, 1),
        "capability": f"{about.major}.{about.minor}",
        "multiprocessors": about.multi_processor_count,
        "cards": torch.cuda.device_count(),
    }


def _driver() -> str | None:
    if not (program := shutil.which("nvidia-smi")):
        return None
    asked = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=20)
    except subprocess.TimeoutExpired:  # the card may work all the same
        return None
    return next(iter(done.stdout.split()), None)


if __name__ == "__main__":
    print(json.dumps(machine(sys.argv[1])))
