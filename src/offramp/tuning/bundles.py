"""Export candidates as bundles: untrained ones to be timed, trained ones to be used."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from offramp.core.bundle import Bundle
from offramp.core.files import write_text, written_folder
from offramp.core.head import OWN
from offramp.core.model import ModelSpec, Size
from offramp.core.plan import Expectation, Plan, PlannedExit
from offramp.core.progress import Track, silent
from offramp.data.images import Array
from offramp.export import export
from offramp.models.network import END, MultiExitNetwork, build_network
from offramp.tuning.clock import DEVICE, Listed
from offramp.tuning.evidence import Evidence, gather
from offramp.tuning.knobs import Setting

SCORE = "mean-top1"


def single_exit(size: Size, miou: float, macs: float, latency_ms: float, images: int) -> Plan:
    """Write the plan that runs a network to its own end."""
    does = Expectation(miou=miou, miou_per_image=miou, macs=macs, latency_ms=latency_ms)
    end = PlannedExit(point=END, head=OWN, share=1.0, miou=miou)
    return Plan(
        setting="budgeted",
        scores=(SCORE,),
        exits=(end,),
        expected=does,
        full=does,
        size=size,
        images=images,
    )


def export_untrained(spec: ModelSpec, frames: Sequence[Array], out: Path) -> Evidence:
    """Write a network with random weights as a bundle; its times are those of a trained one.

    Args:
        spec: what network.
        frames: images for the parity check.
        out: folder of the bundle.

    Raises:
        BadInput: the network cannot be built like that.
        ParityError: the export does not answer as the network does.
    """
    evidence = gather(spec)
    plan = single_exit(spec.size, 0.0, evidence.macs, 0.0, 0)
    export(seeded(spec), plan, frames, out)
    return evidence


def seeded(spec: ModelSpec) -> MultiExitNetwork:
    """Build a network without early exits whose random weights are always the same."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_network(spec, {})


def export_folder(
    base: ModelSpec,
    settings: Mapping[str, Setting],
    frames: Sequence[Array],
    out: Path,
    track: Track = silent,
) -> list[Bundle]:
    """Write untrained candidates side by side, with a manifest that lists them.

    Args:
        base: the network; size and knobs are those of each setting.
        settings: which candidates, by name.
        frames: images for the parity check.
        out: folder to write.
        track: shows progress.
    """
    bundles = {name: f"{name}.offramp" for name in settings}
    with written_folder(out) as folder:
        for name, setting in track(settings.items(), len(settings), "exporting candidates"):
            export_untrained(spec_of(base, setting), frames, folder / bundles[name])
        listed = Listed(model=base.name, size=base.size, bundles=bundles)
        write_text(folder / DEVICE, listed.model_dump_json(indent=2) + "\n")
    return [Bundle.open(out / name) for name in bundles.values()]


def spec_of(base: ModelSpec, setting: Setting) -> ModelSpec:
    """Give a network the size and the knobs of a setting."""
    return base.model_copy(update={"size": setting.size, "knobs": dict(setting.knobs)})
