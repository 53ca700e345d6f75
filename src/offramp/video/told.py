"""What listeners are told, in values that JSON has."""

from collections.abc import Sequence

from offramp.video.answer import Answer
from offramp.video.camera import CameraStatus
from offramp.video.events import Event
from offramp.video.ladder import Change
from offramp.video.monitor import Alarm


def of_answer(answer: Answer, area: Sequence[float] | None, names: Sequence[str]) -> Event:
    """Tell of an answer.

    Args:
        answer: the answer.
        area: share of the pixels of each class, if they were counted.
        names: of the classes.
    """
    payload = {
        "number": answer.number,
        "time_s": answer.time_s,
        "exit": answer.exit,
        "point": answer.point,
        "scores": list(answer.scores[-1]) if answer.scores else [],
        "latency_ms": answer.latency_ms,
        "same": answer.same,
        "involuntary": answer.involuntary,
        "late": answer.late,
        "area": dict(zip(names, area or (), strict=False)),
    }
    return Event("answer", answer.camera, payload)


def of_state(status: CameraStatus) -> Event:
    """Tell of a camera's state."""
    return Event("state", status.name, {"state": str(status.state), "reason": status.reason})


def of_removal(name: str) -> Event:
    """Tell that a camera is watched no longer."""
    return Event("state", name, {"state": "removed", "reason": ""})


def of_level(change: Change) -> Event:
    """Tell of a change of the level of degradation."""
    payload = {
        "before": change.before,
        "level": change.after,
        "name": change.name,
        "reason": change.reason,
    }
    return Event("level", "", payload)


def of_drift(alarm: Alarm) -> Event:
    """Tell that a camera's early answers have drifted from the last exit's."""
    payload = {"alarm": "drift", "floor": alarm.floor, "disagreement": alarm.mean}
    return Event("alarm", alarm.camera, payload)


def of_overload(change: Change) -> Event:
    """Tell that the last level was reached: someone should look."""
    return Event("alarm", "", {"alarm": "overload", "reason": change.reason})
