"""Compare a bundle with the network that it came from, on real images."""

from collections.abc import Sequence

import numpy as np
import torch

from offramp.core.bundle import FRAME, Bundle, FormParity, Parity
from offramp.core.errors import BundleError
from offramp.core.score import ScoreSpec
from offramp.core.wiring import SINGLE_GIVES, SIZE
from offramp.data.images import Array, resize_image
from offramp.metrics.seen import Seen
from offramp.models.network import MultiExitNetwork
from offramp.policies.policy import RulePolicy, replay
from offramp.runtime.engine import NOBODY, Engine
from offramp.runtime.ort import OnnxRuntimeEngine, load_graph
from offramp.runtime.recording import exits_to_end
from offramp.scores import Context
from offramp.scores import labels as labels_of


@torch.inference_mode()
def compare(
    network: MultiExitNetwork,
    bundle: Bundle,
    images: Sequence[Array],
    engine: Engine | None = None,
) -> Parity:
    """Read every exit of the bundle in torch and in an engine.

    Args:
        network: the source.
        bundle: the export.
        images: uint8 RGB frames of any size.
        engine: what answers for the bundle; absent: ONNX Runtime on its segments and heads.
    """
    plan = bundle.manifest.plan
    engine = engine or OnnxRuntimeEngine(bundle)
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
            gap = np.abs(logits.numpy() - np.asarray(reading.logits)).max()
            logit_gap = float(np.maximum(logit_gap, gap))  # stays no number, once it is none
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


@torch.inference_mode()
def compare_single(
    network: MultiExitNetwork, bundle: Bundle, images: Sequence[Array]
) -> FormParity:
    """Compare the graph that stops by itself with torch and the plan's rules.

    Args:
        network: the source.
        bundle: the export, with the form "single".
        images: uint8 RGB frames of any size.

    Raises:
        BundleError: the bundle lacks the form.
    """
    single, plan = bundle.manifest.single, bundle.manifest.plan
    if single is None:
        raise BundleError("the bundle has no graph that stops by itself")
    session, policy = load_graph(bundle.path(single)), RulePolicy.of(plan)
    score_gap, agreeing, same = 0.0, [], []
    for image in images:
        size = (image.shape[0], image.shape[1])
        frame = resize_image(image, network.spec.size)
        feed = {FRAME: frame[None], SIZE: np.array(size, dtype=np.int64)}
        labels, taken, scores = session.run(list(SINGLE_GIVES), feed)
        read = _read_torch(network, bundle, frame, None)[: len(plan.exits)]
        stops = (k for k, (_, theirs) in enumerate(read[:-1]) if policy.stops(k, theirs))
        wanted = next(stops, len(read) - 1)
        same.append(int(taken[0]) == wanted)
        gap = np.abs(np.array(read[wanted][1]) - scores).max()
        score_gap = float(np.maximum(score_gap, gap))
        expected = network.decode(read[wanted][0], size)[0].numpy()
        agreeing.append(float((labels[0] == expected).mean()))
    return FormParity(
        images=len(images),
        max_score_difference=score_gap,
        label_agreement=float(np.mean(agreeing)),
        same_exits=float(np.mean(same)),
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
