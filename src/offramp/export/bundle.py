"""Write a bundle, and let no bundle leave that does not answer as the network does."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from offramp.core.bundle import (
    MANIFEST,
    Bundle,
    FormParity,
    Graph,
    Manifest,
    Parity,
    hash_files,
    save_manifest,
)
from offramp.core.costs import Costs
from offramp.core.errors import BadInput, ParityError
from offramp.core.files import written_folder
from offramp.core.head import OWN
from offramp.core.plan import Plan
from offramp.core.score import ScoreSpec
from offramp.data.images import Array
from offramp.export.forms import check_forms, compare_form, write_forms
from offramp.export.graphs import ScoredHead, Span, write_decoder, write_head, write_span
from offramp.export.parity import compare
from offramp.models.auxiliary import require_trained
from offramp.models.count import count
from offramp.models.network import END, MultiExitNetwork
from offramp.models.split import IMAGE
from offramp.runtime.recording import exits_to_end

UNCHECKED = Parity(
    images=0,
    max_logit_difference=0,
    max_score_difference=0,
    label_agreement=0,
    same_exits=0,
)


def export(
    network: MultiExitNetwork,
    plan: Plan,
    images: Sequence[Array],
    out: Path | str,
    forms: Sequence[str] = (),
) -> Bundle:
    """Write the exits of `plan` as a bundle, and compare it with the network on real images.

    Args:
        network: the trained network.
        plan: which exits, heads and thresholds.
        images: uint8 RGB frames of any size for the parity check.
        out: folder to write; an existing bundle there is replaced.
        forms: further forms, see `export.forms.FORMS`; each is compared too.

    Raises:
        BadInput: the plan belongs to another input size, does not fit a form, or needs a learned
            score that was not trained; `out` is something else than a bundle; or there is no
            image.
        UnknownName: the plan names an exit that the network lacks, or there is no such form.
        MissingExtra: the library of a form is not installed.
        ParityError: the bundle or a form does not answer as the network does; nothing is written.
    """
    out = Path(out)
    _check_arguments(network, plan, images, out)
    check_forms(forms, plan)
    network.eval()
    with written_folder(out) as folder:
        manifest = write_forms(forms, network, _write(network, plan, folder), folder)
        bundle = Bundle(folder, manifest.model_copy(update={"files": hash_files(folder)}))
        parity = compare(network, bundle, images)
        _require(parity)
        compared: dict[str, FormParity] = {}
        for name in dict.fromkeys(forms):
            compared[name] = compare_form(name, network, bundle, images)
            _require(compared[name], f"the form '{name}'")
        told = {"parity": parity, "form_parity": compared}
        save_manifest(folder, bundle.manifest.model_copy(update=told))
    return Bundle.open(out)


def _check_arguments(
    network: MultiExitNetwork, plan: Plan, images: Sequence[Array], out: Path
) -> None:
    if plan.size != network.spec.size:
        raise BadInput(
            "the plan belongs to another input size",
            expected=str(network.spec.size),
            got=str(plan.size),
        )
    if not images:
        raise BadInput("the parity check needs at least one image")
    if out.exists() and not (out / MANIFEST).is_file():
        raise BadInput(f"{out} exists and is not a bundle", repair="give another --out")
    for planned in plan.exits:
        network.head(planned.point, planned.head)
    require_trained(network.auxiliaries, [ScoreSpec.parse(name) for name in plan.scores])


def _write(network: MultiExitNetwork, plan: Plan, folder: Path) -> Manifest:
    """Write segments, heads and decoder; returns a manifest without hashes and parity."""
    costs = count(network)
    visited = [(planned.point, planned.head) for planned in plan.exits]
    segments, heads = _write_graphs(network, plan, folder)
    return Manifest(
        model=network.spec,
        plan=plan,
        segments=tuple(segments),
        heads=tuple(heads),
        decoder=write_decoder(network.spec.classes, folder / "decoder.onnx"),
        files={},
        path_macs=tuple(costs.of(visited[: i + 1]).macs for i in range(len(visited))),
        full_macs=costs.of([(END, OWN)]).macs,
        work=_work(plan, costs),
        parity=UNCHECKED,
        versions=_versions(),
    )


@torch.inference_mode()
def _write_graphs(
    network: MultiExitNetwork, plan: Plan, folder: Path
) -> tuple[list[Graph], list[Graph]]:
    """Write a segment and a head per planned exit, and those that lead to the network's end."""
    scores = [ScoreSpec.parse(name) for name in plan.scores]
    values = {
        IMAGE: torch.zeros(0),
        "frame": torch.zeros(1, *network.spec.size, 3, dtype=torch.uint8),
    }
    segments, heads = [], []
    first = 0
    for number, (point, head_name) in enumerate(exits_to_end(plan)):
        last = network.points.index(point)
        span = Span(network, first, last)
        given_by = [values[name] for name in span.takes]
        graph, given = write_span(span, given_by, folder / f"segment_{number}.onnx")
        values.update(zip(span.gives, given, strict=True))
        segments.append(graph)
        head = ScoredHead(network, last, head_name, scores)
        name = span.gives[0]
        heads.append(write_head(head, values[name], name, folder / f"head_{number}.onnx"))
        first = last + 1
    return segments, heads


def _work(plan: Plan, costs: Costs) -> tuple[tuple[int, int], ...]:
    """Count the multiply-accumulates of each segment of a bundle, and of its head."""
    work, before = [], 0
    for point, head in exits_to_end(plan):
        path = costs.segment_path(point).macs
        work.append((path - before, costs.heads[point][head].macs))
        before = path
    return tuple(work)


def _require(parity: FormParity, what: str = "the export") -> None:
    """Refuse a bundle that strays: labels, scores and decisions must be the network's."""
    faults = []
    if not parity.label_agreement >= 0.999:
        faults.append(f"only {100 * parity.label_agreement:.2f} % of the labels agree")
    if not parity.max_score_difference <= 1e-3:  # nor may it be no number
        faults.append(f"a score differs by {parity.max_score_difference:.1e}")
    if not parity.same_exits >= 1.0:
        faults.append(f"only {100 * parity.same_exits:.1f} % of the images take the same exit")
    if faults:
        raise ParityError(f"{what} does not answer as the network does: " + "; ".join(faults))


def _versions() -> dict[str, str]:
    names = ("offramp", "torch", "onnx", "onnxscript", "onnxruntime")
    return {**{name: version(name) for name in names}, "python": platform.python_version()}
