"""Whether the graphs that a manifest names can be run one after another: names, order, counts.

What is in the files only an engine can tell; see `runtime.engine`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from offramp.core.errors import BundleError

if TYPE_CHECKING:
    from offramp.core.bundle import Graph, Manifest

LARGEST_SIDE = 8192
"""Pixels; the largest input side that a network may have."""

FRAME = "frame"
"""The name of the value that enters the first segment: uint8 1×H×W×3."""

EXIT_BEFORE, FRAME_BEFORE = "exit_before", "frame_before"
"""Values that some heads take: labels uint8 1×h×w of the exit before, and of the frame before."""

LOGITS, SCORES, SIZE, LABELS, EXIT = "logits", "scores", "size", "labels", "exit"
"""What heads give, what the decoder takes and gives, and the exit that a single graph took."""

CELLS = "cells"
"""What heads that compare labels give besides: their own labels uint8 1×h×w."""

SINGLE_TAKES, SINGLE_GIVES = (FRAME, SIZE), (LABELS, EXIT, SCORES)
"""What the graph takes and gives that stops by itself."""


def check_wiring(manifest: "Manifest") -> None:
    """Refuse a manifest whose graphs cannot be chained, or that contradicts itself.

    Raises:
        BundleError: with the first fault.
    """
    for fault in _faults(manifest):
        raise BundleError(f"the manifest contradicts itself: {fault}")


def files_of(manifest: "Manifest") -> tuple[str, ...]:
    """Name the files that a manifest uses, each once."""
    graphs = [*manifest.segments, *manifest.heads, manifest.decoder, *manifest.prefixes]
    graphs += [] if manifest.single is None else [manifest.single]
    files = [graph.file for graph in graphs]
    if manifest.ncnn is not None:
        files += [manifest.ncnn.param, manifest.ncnn.bin]
    if manifest.weights is not None:
        files.append(manifest.weights)
    return tuple(dict.fromkeys(files))


def _faults(manifest: "Manifest") -> Iterator[str]:
    plan, segments = manifest.plan, len(manifest.segments)
    if len(manifest.heads) != segments:
        yield f"{segments} segments, but {len(manifest.heads)} heads"
    if segments - len(plan.exits) not in (0, 1):
        yield f"{len(plan.exits)} exits, but {segments} segments"
    if len(manifest.path_macs) != len(plan.exits):
        yield f"{len(plan.exits)} exits, but the work of {len(manifest.path_macs)}"
    if len(manifest.work) not in (0, segments):
        yield f"{segments} segments, but the work of {len(manifest.work)}"
    if plan.size != manifest.model.size:
        yield f"a plan for {plan.size}, but a network for {manifest.model.size}"
    if not all(1 <= side <= LARGEST_SIDE for side in plan.size):
        yield f"an input of {plan.size} pixels"
    yield from _rule_faults(manifest)
    yield from _graph_faults(manifest)
    yield from _form_faults(manifest)


def _rule_faults(manifest: "Manifest") -> Iterator[str]:
    plan = manifest.plan
    for planned in plan.exits:
        try:
            if planned.rule is not None:
                planned.rule.stops([0.0] * len(plan.scores))
        except ValueError:
            yield f"the rule of {planned.point!r} does not fit {len(plan.scores)} scores"


def _graph_faults(manifest: "Manifest") -> Iterator[str]:
    known = {FRAME}
    for segment, head in zip(manifest.segments, manifest.heads, strict=False):
        if not segment.gives or not segment.takes or not known.issuperset(segment.takes):
            yield f"{segment.file} takes what no graph before it gives"
        known |= set(segment.gives)
        if head.takes[:1] != segment.gives[:1] or not _compares_at_most(head.takes[1:]):
            yield f"{head.file} does not read what {segment.file} gives"
        if head.gives != answers_of(head):
            yield f"{head.file} gives {head.gives!r}"
    decoder = manifest.decoder
    if (decoder.takes, decoder.gives) != ((LOGITS, SIZE), (LABELS,)):
        yield f"{decoder.file} is no decoder"


def _form_faults(manifest: "Manifest") -> Iterator[str]:
    prefixes, single = manifest.prefixes, manifest.single
    if len(prefixes) not in (0, len(manifest.segments)):
        yield f"{len(manifest.segments)} segments, but {len(prefixes)} prefixes"
    for prefix, head in zip(prefixes, manifest.heads, strict=False):
        if prefix.takes != (FRAME, *head.takes[1:]) or prefix.gives != head.gives:
            yield f"{prefix.file} does not do what {head.file} does"
    if single is not None and (single.takes, single.gives) != (SINGLE_TAKES, SINGLE_GIVES):
        yield f"{single.file} is no graph that stops by itself"
    if manifest.ncnn is not None and len(manifest.ncnn.exits) != len(manifest.segments):
        yield f"{len(manifest.segments)} segments, but {len(manifest.ncnn.exits)} exits for ncnn"


def answers_of(head: "Graph") -> tuple[str, ...]:
    """Name what a head gives: its labels too where it compares with others."""
    return (LOGITS, SCORES, CELLS) if len(head.takes) > 1 else (LOGITS, SCORES)


def _compares_at_most(takes: tuple[str, ...]) -> bool:
    return takes in ((), (EXIT_BEFORE,), (FRAME_BEFORE,), (EXIT_BEFORE, FRAME_BEFORE))
