"""Compare a bundle with the network that it came from, on real images."""

from collections.abc import Sequence

import numpy as np
import torch

from offramp.core.bundle import Bundle, Parity
from offramp.core.head import OWN
from offramp.core.plan import Plan
from offramp.core.score import ScoreSpec
from offramp.data.images import Array, resize_image
from offramp.metrics.seen import Seen
from offramp.models.network import END, MultiExitNetwork
from offramp.policies.policy import RulePolicy, replay
from offramp.runtime.engine import NOBODY
from offramp.runtime.ort import OnnxRuntimeEngine
from offramp.scores import Context
from offramp.scores import labels as labels_of


@torch.inference_mode()
def compare(network: MultiExitNetwork, bundle: Bundle, images: Sequence[Array]) -> Parity:
    """Read every exit of the bundle in torch and in ONNX Runtime.

    Args:
        network: the source.
        bundle: the export.
        images: uint8 RGB frames of any size.
    """
    plan = bundle.manifest.plan
    engine = OnnxRuntimeEngine(bundle)
    policy = RulePolicy.of(plan)
    logit_gap = 0.0
    agreeing: list[float] = []
    shape = (2, len(bundle.manifest.segments), len(images), len(plan.scores))
    scores = np.zeros(shape)
    before: Array | None = None
    for n, image in enumerate(images):
        size = (image.shape[0], image.shape[1])
        frame = resize_image(image, network.spec.size)
        state = engine.begin(frame)
        exit_before: Array | None = None
        for index, (logits, theirs) in enumerate(_read_torch(network, bundle, frame, before)):
            state = engine.advance(index, state)
            reading = engine.read(index, state.beside(exit_before, before))
            scores[:, index, n] = theirs, reading.scores
            exit_before = reading.cells
            logit_gap = max(logit_gap, float(np.abs(logits.numpy() - reading.logits).max()))
            labels = network.decode(logits, size)[0].numpy()
            agreeing.append(float((labels == engine.decode(reading.logits, size)).mean()))
        before = exit_before
    planned = scores[:, : len(plan.exits)]
    same = replay(policy, Seen(planned[0])) == replay(policy, Seen(planned[1]))
    return Parity(
        images=len(images),
        max_logit_difference=logit_gap,
        max_score_difference=float(np.abs(scores[0] - scores[1]).max()),
        label_agreement=float(np.mean(agreeing)),
        same_exits=float(same.mean()),
    )


def _read_torch(
    network: MultiExitNetwork, bundle: Bundle, frame: Array, before: Array | None
) -> list[tuple[torch.Tensor, list[float]]]:
    """Walk the network itself; logits and scores of each exit of the bundle."""
    plan = bundle.manifest.plan
    scores = [ScoreSpec.parse(name) for name in plan.scores]
    frame_before = torch.from_numpy(NOBODY if before is None else before)
    exit_before = torch.from_numpy(NOBODY)
    heads = dict(exits_to_end(plan))
    state = network.begin(torch.from_numpy(frame.copy())[None])
    read = []
    for index, point in enumerate(network.points):
        state = network.advance(index, state)
        if point in heads:
            context = Context(exit_before=exit_before, frame_before=frame_before)
            reading = network.read(index, state, heads[point], scores, context)
            read.append((reading.logits, [float(reading.scores[s.name]) for s in scores]))
            exit_before = labels_of(reading.logits)
    return read


def exits_to_end(plan: Plan) -> list[tuple[str, str]]:
    """List the position and head of each exit of a plan, the network's own end always last."""
    exits = [(planned.point, planned.head) for planned in plan.exits]
    return exits if exits[-1] == (END, OWN) else [*exits, (END, OWN)]
