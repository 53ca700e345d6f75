"""Run a session over sources, writing every answer, and count every frame."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from offramp.core.errors import UnknownName
from offramp.core.progress import Track, silent
from offramp.runtime.session import Result, Session
from offramp.video.sinks import KINDS, Sink
from offramp.video.sources import Frame, Source

logger = logging.getLogger(__name__)


@dataclass
class Tally:
    """What became of the frames.

    Attributes:
        frames: frames that were answered.
        unreadable: frames that could not be read.
        taken: how many frames stopped at each position.
        latency_ms: time of each answer.
        late: answers that came after the deadline.
        dropped: frames of a live camera that came while another was answered.
    """

    frames: int = 0
    unreadable: int = 0
    taken: Counter[str] = field(default_factory=Counter)
    latency_ms: list[float] = field(default_factory=list)
    late: int = 0
    dropped: int = 0


def run(
    session: Session,
    sources: Sequence[Source],
    out: Path,
    *,
    save: Sequence[str] | None = None,
    deadline_ms: float | None = None,
    track: Track = silent,
) -> Tally:
    """Answer every frame of every source, and write what is asked for below `out`.

    Args:
        session: answers the frames.
        sources: where frames come from; the outputs of each go to a folder of its own.
        out: folder of the outputs.
        save: what to write, of masks, overlay, jsonl and video; absent: masks and lines, and
            an overlay video for videos, overlays for images; lines alone for live cameras.
        deadline_ms: what each answer may take at most; see `Session.segment`.
        track: shows progress.

    Raises:
        UnknownName: `save` names something that cannot be written.
    """
    for kind in save or ():
        if kind not in KINDS:
            raise UnknownName("kind of output", kind, KINDS)
    tally = Tally()
    for source, name in zip(sources, _distinct([s.name for s in sources]), strict=True):
        kinds = _usual(source) if save is None else set(save)
        if "video" in kinds and not source.fps:
            logger.warning("%s holds images: no overlay video is written of it", name)
        model = session.bundle.manifest.model
        with Sink(out / name, kinds, model, source.fps) as sink:
            before: Result | None = None
            for frame in track(source.frames(), source.total, name):
                result = _answer(session, frame, deadline_ms, before)
                before = result if source.fps else None
                _count(tally, frame, result, deadline_ms)
                sink.write(frame, result)
        tally.dropped += source.dropped
    return tally


def _usual(source: Source) -> set[str]:
    """Choose what is written of a source; of a live one, nothing that fills a disk unasked."""
    if source.live:
        return {"jsonl"}
    return {"masks", "jsonl", "video" if source.fps else "overlay"}


def _answer(
    session: Session, frame: Frame, deadline_ms: float | None, before: Result | None
) -> Result | None:
    if frame.image is None:
        return None
    return session.segment(frame.image, before, deadline_ms=deadline_ms)


def _count(tally: Tally, frame: Frame, result: Result | None, deadline_ms: float | None) -> None:
    if result is None:
        tally.unreadable += 1
        logger.warning("%s", frame.fault)
        return
    tally.frames += 1
    tally.taken[result.point] += 1
    tally.latency_ms.append(result.latency_ms)
    tally.late += deadline_ms is not None and result.latency_ms > deadline_ms


def _distinct(names: list[str]) -> list[str]:
    """Number names that occur twice, so that no source overwrites another's outputs."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return result
