"""A candidate's name for readers: what differs from the baseline, and nothing else."""

from offramp.core.model import format_size
from offramp.tuning.candidate import Candidate, Knob

BASELINE = "baseline"


def label(candidate: Candidate, baseline: Candidate) -> str:
    """Name a candidate by its differences, as in "160x96, width 0.5, no pyramid".

    Args:
        candidate: any of a study.
        baseline: the study's first.
    """
    parts = [] if candidate.size == baseline.size else [format_size(candidate.size)]
    parts += [
        _knob(name, value)
        for name, value in candidate.knobs.items()
        if value != baseline.knobs.get(name)
    ]
    text = ", ".join(parts) or BASELINE
    if candidate.stage == "resolution-untrained":
        text += " (not retrained)"
    return f"{text} + exits" if candidate.kind == "exits" else text


def _knob(name: str, value: Knob) -> str:
    if name == "channels":
        return "luma" if value == 1 else "colour"
    if isinstance(value, bool):
        return name if value else f"no {name}"
    return f"{name} {value:g}"
