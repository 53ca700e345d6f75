"""Take exits out of a bundle: a segment that led to one becomes one graph with the next."""

import shutil
from pathlib import Path
from typing import Any

from offramp.core.bundle import Bundle, Graph
from offramp.core.plan import Plan
from offramp.export.compose import merge_segments, read, write_chain, write_model
from offramp.runtime.recording import exits_to_end


def keep_exits(bundle: Bundle, plan: Plan, folder: Path) -> Bundle:
    """Write a bundle's graphs for a plan that uses some of its exits.

    Args:
        bundle: whose graphs.
        plan: each of its exits is one of the bundle's.
        folder: where to write; it is made if it is not there.

    Returns:
        The bundle there, with the work of its paths; its files are not hashed yet, and no
        manifest is written.
    """
    folder.mkdir(exist_ok=True)
    known = exits_to_end(bundle.manifest.plan)
    kept = [known.index(pair) for pair in exits_to_end(plan)]
    old = bundle.manifest
    segments, heads, work = [], [], []
    for number, (first, last) in enumerate(zip([0, *(i + 1 for i in kept)], kept, strict=False)):
        file = folder / f"segment_{number}.onnx"
        if first == last:
            segments.append(_copied(bundle, old.segments[last], file))
        else:
            segments.append(merge_segments(bundle, first, last, file))
        heads.append(_copied(bundle, old.heads[last], folder / f"head_{number}.onnx"))
        inside = sum(segment for segment, _ in old.work[first : last + 1])
        work.append((inside, old.work[last][1]))
    spent = [sum(map(sum, work[: index + 1])) for index in range(len(plan.exits))]
    manifest = old.model_copy(
        update={
            "plan": plan,
            "segments": tuple(segments),
            "heads": tuple(heads),
            "decoder": _copied(bundle, old.decoder, folder / old.decoder.file),
            "work": tuple(work),
            "path_macs": tuple(spent),
            "files": {},
            "form_parity": {},
            "seal": "",
        }
    )
    forms = _forms(bundle, Bundle(folder, manifest), kept)
    return Bundle(folder, manifest.model_copy(update=forms))


def _copied(bundle: Bundle, graph: Graph, file: Path) -> Graph:
    shutil.copyfile(bundle.path(graph), file)
    return graph.model_copy(update={"file": file.name})


def _forms(source: Bundle, target: Bundle, kept: list[int]) -> dict[str, Any]:
    """Write the further forms that the source has, for the exits that are kept."""
    old = source.manifest
    forms: dict[str, Any] = {"prefixes": (), "single": None, "ncnn": None, "weights": None}
    if old.prefixes:
        forms["prefixes"] = _prefixes(target)
    # The single graph runs in ONNX Runtime, whose scores may be others than the plan's engine's.
    if old.single is not None and target.manifest.plan.engine in ("", "onnxruntime"):
        from offramp.export.single import stopping_graph

        forms["single"] = write_model(stopping_graph(target), target.folder / "single.onnx")
    if old.ncnn is not None:
        for name in (old.ncnn.param, old.ncnn.bin):
            shutil.copyfile(source.folder / name, target.folder / name)
        update = {
            "features": tuple(old.ncnn.features[index] for index in kept),
            "exits": tuple(old.ncnn.exits[index] for index in kept),
        }
        forms["ncnn"] = old.ncnn.model_copy(update=update)
    if old.weights is not None:
        forms["weights"] = _weights(source, old.weights, target)
    return forms


def _weights(source: Bundle, name: str, target: Bundle) -> str | None:
    """Write the weights of the exits that are kept; learned scores need all exits."""
    if len(target.manifest.segments) == len(source.manifest.segments):
        shutil.copyfile(source.folder / name, target.folder / name)
        return name
    from offramp.export.weights_form import write_weights
    from offramp.models.rebuilt import load_weights

    network = load_weights(source)
    if network.auxiliaries is not None:
        return None
    written: str = write_weights(network, target.manifest, target.folder)["weights"]
    return written


def _prefixes(bundle: Bundle) -> tuple[Graph, ...]:
    """Write, for each exit, one graph from the frame to its answer."""
    manifest = bundle.manifest
    segments = [read(bundle, segment) for segment in manifest.segments]
    return tuple(
        write_chain(
            [*segments[: index + 1], read(bundle, head)],
            head.gives,
            bundle.folder / f"prefix_{index}.onnx",
        )
        for index, head in enumerate(manifest.heads)
    )
