"""From a bundle to one for an engine and a precision, its plan fitted again on what that says.

Engines that compute in fewer bits give other scores than those that thresholds were fitted on. So
the graphs are brought to the precision first; then the very engine that will run them is recorded
and timed on labelled images; then the plan is chosen anew. Exits that it drops are taken out of
the graphs, and what is left is recorded and chosen from again, until the plan uses what there is.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from offramp.core.bundle import MANIFEST, Bundle, Parity, hash_files, save_manifest
from offramp.core.costs import Costs
from offramp.core.errors import BadInput, ParityError, UnknownName
from offramp.core.files import written_folder
from offramp.core.plan import Plan
from offramp.core.progress import Track, silent
from offramp.core.rule import AtLeast, AtMost
from offramp.data.dataset import Dataset
from offramp.data.sample import Sample
from offramp.export.kept import keep_exits
from offramp.export.likeness import liken
from offramp.export.pieces import Runner, measure_pieces
from offramp.export.quantise import quantise
from offramp.metrics.trace import Trace
from offramp.runtime.engine import Engine
from offramp.runtime.engines import check_engine, open_engine
from offramp.runtime.recording import check_classes, exits_to_end, record

PRECISIONS = ("f32", "bf16", "int8")
LEAST_AGREEMENT = 0.999
"""Share of the labels that must stay as they were where the precision is f32."""

COMPARED = 16
"""Images on which logits and labels are compared with those of the source."""


class Recorded(NamedTuple):
    """What a bundle's exits say and cost on one engine."""

    trace: Trace
    costs: Costs


Choose = Callable[[Recorded, Recorded], Plan]
"""Chooses a plan among the exits of the second, which came from the first."""


@dataclass(frozen=True)
class Converted:
    """A bundle that was converted, and the grounds of its plan.

    Attributes:
        bundle: the new one.
        before: the source's graphs as they are, on the same engine.
        after: the new graphs, on the engine and in the precision asked for.
        label: of that engine.
        dropped: exits of the source, "point/head", that the new plan does not use.
    """

    bundle: Bundle
    before: Recorded
    after: Recorded
    label: str
    dropped: tuple[str, ...]


def convert(
    source: Bundle,
    data: Dataset,
    out: Path | str,
    choose: Choose,
    *,
    engine: str = "onnxruntime",
    precision: str = "f32",
    split: str = "calib",
    images: int = 300,
    threads: int | None = None,
    rounds: int = 40,
    track: Track = silent,
) -> Converted:
    """Write a bundle whose graphs and plan belong to an engine and a precision.

    Args:
        source: what is converted; stays as it is.
        data: labelled images of the bundle's classes.
        out: folder to write; an existing bundle there is replaced.
        choose: finds the plan, on what was recorded of the source and of the new graphs.
        engine: a name of `runtime.engines.ENGINES`.
        precision: one of `PRECISIONS`.
        split: images for the plan, and for the ranges of int8.
        images: most images for the ranges, evenly taken from the split.
        threads: of the engine; absent: all cores that the process may use.
        rounds: how often each piece is timed.
        track: shows progress.

    Raises:
        BadInput: the source is quantised and the precision is another, the engine cannot compute
            in it, the data set has other classes, or `out` is something else than a bundle.
        UnknownName: there is no such engine, precision or split.
        ParityError: in f32 the new bundle does not answer as the source does.
        OfframpError: what `choose` raises, such as Infeasible. Nothing is written then.
    """
    out = Path(out)
    _check(source, data, out, engine, precision)
    samples = data.samples(split)
    plain = Runner(source, open_engine(engine, source, threads, source.manifest.precision))
    with written_folder(out) as folder, tempfile.TemporaryDirectory() as scratch:
        bundle = source
        if precision == "int8" and source.manifest.precision != "int8":
            some = _spread(samples, images)
            bundle = _quantised(source, data, some, Path(scratch) / "int8", threads, track)
        trace = record(plain.engine, source, data, split, track)
        for number in count():
            runner = Runner(bundle, open_engine(engine, bundle, threads, precision))
            told = record(runner.engine, bundle, data, split, track)
            frame = data.read(samples[0])[0]
            size = frame.shape[0], frame.shape[1]
            costs = measure_pieces([plain, runner], size, rounds=rounds, track=track)
            before, after = Recorded(trace, costs[0]), Recorded(told, costs[1])
            plan = in_order(choose(before, after), source.manifest.plan.scores)
            if len(exits_to_end(plan)) == len(told.exits):
                break
            bundle = keep_exits(bundle, plan, Path(scratch) / f"kept_{number}")
        runner = runner._replace(bundle=keep_exits(bundle, plan, folder))
        frames = [data.read(sample)[0] for sample in _spread(samples, COMPARED)]
        parity = liken(plain, runner, frames, (trace, told))
        _require(parity, runner.engine)
        _save(folder, runner, parity)
    return Converted(Bundle.open(out), before, after, runner.engine.label, _dropped(source, plan))


def _require(parity: Parity, engine: Engine) -> None:
    """Refuse an engine that strays in f32; in other precisions it must."""
    if engine.precision == "f32" and not parity.label_agreement >= LEAST_AGREEMENT:
        share = f"{100 * parity.label_agreement:.2f} %"
        raise ParityError(f"{engine.name} in f32 agrees with the source on only {share} of labels")


def _save(folder: Path, runner: Runner, parity: Parity) -> None:
    manifest = runner.bundle.manifest
    versions = {**manifest.versions, "converted": runner.engine.label}
    update = {"parity": parity, "files": hash_files(folder), "versions": versions}
    save_manifest(folder, manifest.model_copy(update=update))


def _dropped(source: Bundle, plan: Plan) -> tuple[str, ...]:
    kept = exits_to_end(plan)
    exits = exits_to_end(source.manifest.plan)
    return tuple("/".join(pair) for pair in exits if pair not in kept)


def in_order(plan: Plan, scores: tuple[str, ...]) -> Plan:
    """Let a plan's rules take the scores as the heads' graphs give them.

    Args:
        plan: one that decides by some of these scores.
        scores: names, in the order of the graphs.

    Raises:
        BadInput: it decides by others, or by several at once in another order.
    """
    if plan.scores == scores:
        return plan
    rules = [planned.rule for planned in plan.exits]
    if not set(plan.scores) <= set(scores) or not all(
        rule is None or isinstance(rule, AtLeast | AtMost) for rule in rules
    ):
        raise BadInput(
            "the plan decides by other scores than the bundle's graphs compute",
            expected=", ".join(scores),
            got=", ".join(plan.scores),
            repair="export a plan with these scores first",
        )
    exits = []
    for planned, rule in zip(plan.exits, rules, strict=True):
        if isinstance(rule, AtLeast | AtMost):
            place = scores.index(plan.scores[rule.score])
            rule = rule.model_copy(update={"score": place})
        exits.append(planned.model_copy(update={"rule": rule}))
    return plan.model_copy(update={"scores": scores, "exits": tuple(exits)})


def _check(source: Bundle, data: Dataset, out: Path, engine: str, precision: str) -> None:
    check_engine(engine)
    check_classes(source, data)
    if precision not in PRECISIONS:
        raise UnknownName("precision", precision, PRECISIONS)
    if source.manifest.precision != "f32" and precision != source.manifest.precision:
        raise BadInput(
            f"the graphs of {source.folder} are quantised",
            expected=source.manifest.precision,
            got=precision,
            repair="convert the bundle that it was made from",
        )
    if out.exists() and not (out / MANIFEST).is_file():
        raise BadInput(f"{out} exists and is not a bundle", repair="give another --out")


def _quantised(
    source: Bundle,
    data: Dataset,
    samples: list[Sample],
    folder: Path,
    threads: int | None,
    track: Track,
) -> Bundle:
    """Write the graphs of a bundle quantised; its other forms are float, and are left out."""
    folder.mkdir()
    quantise(source, data, samples, folder, threads=threads, track=track)
    update = {"precision": "int8", "ncnn": None, "weights": None}
    return Bundle(folder, source.manifest.model_copy(update=update))


def _spread(samples: list[Sample], most: int) -> list[Sample]:
    """Take at most so many samples, evenly from the whole list."""
    if len(samples) <= most:
        return samples
    return [samples[i] for i in np.linspace(0, len(samples) - 1, most).round().astype(int)]
