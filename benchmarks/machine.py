"""Say where a benchmark ran, for the head of its result file."""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def conditions() -> dict[str, Any]:
    """Describe command, machine and versions."""
    versions = {}
    for name in ("offramp", "torch", "onnxruntime", "onnx", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "command": " ".join(["python", *(Path(word).name for word in sys.argv)]),
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": versions,
    }


def save(file: Path, results: dict[str, Any]) -> None:
    """Write results under their conditions."""
    file.write_text(json.dumps({**conditions(), **results}, indent=2) + "\n")
    print(f"written: {file}")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
