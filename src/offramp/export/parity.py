"""Compare a bundle with the network that it came from, on real images."""

from collections.abc import Sequence

import numpy as np
import torch

from offramp.core.bundle import Bundle, Parity
from offramp.core.head import OWN
from offramp.core.plan import Plan
from offramp.core.score import ScoreSpec
from offramp.data.images import Array, resize_image
from offramp.models.network import END, MultiExitNetwork
from offramp.policies.policy import replay
from offramp.policies.threshold import ThresholdPolicy
from offramp.runtime.ort import OnnxRuntimeEngine


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
    policy = ThresholdPolicy.of(plan)
    logit_gap = 0.0
    agreeing: list[float] = []
    scores = np.zeros((2, len(bundle.manifest.segments), len(images)))
    for n, image in enumerate(images):
        size = (image.shape[0], image.shape[1])
        frame = resize_image(image, network.spec.size)
        state = engine.begin(frame)
        for index, (logits, score) in enumerate(_read_torch(network, bundle, frame)):
            state = engine.advance(index, state)
            reading = engine.read(index, state)
            scores[:, index, n] = score, reading.score
            logit_gap = max(logit_gap, float(np.abs(logits.numpy() - reading.logits).max()))
            labels = network.decode(logits, size)[0].numpy()
            agreeing.append(float((labels == engine.decode(reading.logits, size)).mean()))
    planned = scores[:, : len(plan.exits)]
    same = replay(policy, planned[0]) == replay(policy, planned[1])
    return Parity(
        images=len(images),
        max_logit_difference=logit_gap,
        max_score_difference=float(np.abs(scores[0] - scores[1]).max()),
        label_agreement=float(np.mean(agreeing)),
        same_exits=float(same.mean()),
    )


def _read_torch(
    network: MultiExitNetwork, bundle: Bundle, frame: Array
) -> list[tuple[torch.Tensor, float]]:
    """Walk the network itself; logits and score of each exit of the bundle."""
    plan = bundle.manifest.plan
    score = ScoreSpec.parse(plan.score)
    heads = dict(exits_to_end(plan))
    state = network.begin(torch.from_numpy(frame.copy())[None])
    read = []
    for index, point in enumerate(network.points):
        state = network.advance(index, state)
        if point in heads:
            reading = network.read(index, state, heads[point], [score])
            read.append((reading.logits, float(reading.scores[score.name])))
    return read


def exits_to_end(plan: Plan) -> list[tuple[str, str]]:
    """List the position and head of each exit of a plan, the network's own end always last."""
    exits = [(planned.point, planned.head) for planned in plan.exits]
    return exits if exits[-1] == (END, OWN) else [*exits, (END, OWN)]
