"""How alike two bundles answer that share exits, each on an engine of its own."""

from collections.abc import Sequence

import numpy as np

from offramp.core.bundle import Parity
from offramp.core.plan import Plan
from offramp.data.images import Array, resize_image
from offramp.export.pieces import Runner
from offramp.metrics.trace import Trace
from offramp.policies.policy import RulePolicy, replay
from offramp.runtime.recording import exits_to_end


def liken(
    source: Runner, target: Runner, frames: Sequence[Array], traces: tuple[Trace, Trace]
) -> Parity:
    """Compare logits and labels at every exit of the target, and the exits that its plan takes.

    Args:
        source: has every exit of the target.
        target: what was made of it.
        frames: uint8 RGB images of any size, on which logits and labels are compared.
        traces: what the source and the target say of more images, on which scores and the exits
            taken are compared.
    """
    plan = target.bundle.manifest.plan
    known = exits_to_end(source.bundle.manifest.plan)
    exits = [known.index(pair) for pair in exits_to_end(plan)]
    logit_gap, agreeing = 0.0, []
    for frame in frames:
        size = (frame.shape[0], frame.shape[1])
        theirs = _logits(source, frame)
        for row, ours in zip(exits, _logits(target, frame), strict=True):
            gap = np.abs(_on_host(theirs[row]) - _on_host(ours)).max()
            logit_gap = max(logit_gap, float(gap))
            expected = source.engine.decode(theirs[row], size)
            agreeing.append(float((expected == target.engine.decode(ours, size)).mean()))
    rows = [[trace.exits.index(pair) for pair in exits_to_end(plan)] for trace in traces]
    names = traces[1].score_names
    scores = [trace.seen(chosen, names).scores for trace, chosen in zip(traces, rows, strict=True)]
    same = _taken(plan, traces[0]) == _taken(plan, traces[1])
    return Parity(
        images=len(traces[1].images),
        max_logit_difference=logit_gap,
        max_score_difference=float(np.abs(scores[0] - scores[1]).max(initial=0.0)),
        label_agreement=float(np.mean(agreeing)),
        same_exits=float(same.mean()),
    )


def _taken(plan: Plan, trace: Trace) -> np.ndarray:
    rows = [trace.index(planned.point, planned.head) for planned in plan.exits]
    return replay(RulePolicy.of(plan), trace.seen(rows, plan.scores))


def _logits(runner: Runner, frame: Array) -> list[object]:
    """Read every exit of a bundle; logits as the engine holds them."""
    manifest, engine = runner.bundle.manifest, runner.engine
    state, logits = engine.begin(resize_image(frame, manifest.model.size)), []
    for index in range(len(manifest.segments)):
        state = engine.advance(index, state)
        logits.append(engine.read(index, state.beside(None, None)).logits)
    return logits


def _on_host(logits: object) -> np.ndarray:
    """Fetch logits from wherever the engine holds them."""
    fetched = logits.cpu() if hasattr(logits, "cpu") else logits
    return np.asarray(fetched, dtype=np.float32)
