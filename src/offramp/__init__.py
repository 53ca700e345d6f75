"""Early exits for segmentation networks: train, search, export, run.

    network = build_network(spec, exits)
    trace   = record(network, Dataset.open("floor"))
    costs   = measure(network)
    found   = offramp.search.search(trace, costs, Goal(max_miou_loss=0.01))
    bundle  = offramp.export.export(network, found.plan, images, "floor.offramp")
    result  = Session(bundle).segment(image)

Names load when they are first used: the run half works, and starts fast, without torch.
"""

import os
from importlib import import_module
from typing import Any

# ONNX Runtime's wheels send usage data to its makers, and heed only what is set before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

_HOMES = {
    "Bundle": "offramp.core.bundle",
    "Dataset": "offramp.data.dataset",
    "Goal": "offramp.search",
    "HeadSpec": "offramp.core.head",
    "ModelSpec": "offramp.core.model",
    "OfframpError": "offramp.core.errors",
    "Plan": "offramp.core.plan",
    "Run": "offramp.training.run",
    "Session": "offramp.runtime.session",
    "Trace": "offramp.metrics.trace",
    "attach": "offramp.models.network",
    "build_network": "offramp.models.network",
    "measure": "offramp.profiling.latency",
    "record": "offramp.evaluation",
    "train": "offramp.training.train",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    """Load a public name from its home."""
    if name not in _HOMES:
        raise AttributeError(f"module 'offramp' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
