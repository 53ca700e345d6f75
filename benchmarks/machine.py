"""Say where a benchmark ran, for the head of its result file."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from offramp.runtime.machine import frequency, processor, usable_cores, versions


def conditions(*libraries: str) -> dict[str, Any]:
    """Describe command, machine and versions, those of further libraries included."""
    found = versions(("offramp", "torch", "onnxruntime", "onnx", "numpy", *libraries))
    return {
        "command": " ".join(["python", *(Path(word).name for word in sys.argv)]),
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "cores": len(usable_cores()),
        "frequency": str(frequency() or "unknown"),
        "python": found.pop("python"),
        "versions": found,
    }


def save(file: Path, results: dict[str, Any], *libraries: str) -> None:
    """Write results under their conditions."""
    file.write_text(json.dumps({**conditions(*libraries), **results}, indent=2) + "\n")
    print(f"written: {file}")
