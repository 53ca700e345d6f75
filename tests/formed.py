"""A bundle with one further form, beside the shared one."""

from pathlib import Path

from offramp.core.bundle import Bundle, hash_files, save_manifest
from offramp.core.plan import Plan, PlannedExit
from offramp.export.forms import write_forms
from offramp.models.network import MultiExitNetwork


def with_form(name: str, bundle: Bundle, network: MultiExitNetwork, folder: Path) -> Bundle:
    """Copy a bundle into a folder that is not yet there, and add a form to it."""
    folder.mkdir()
    for file in bundle.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    manifest = write_forms((name,), network, bundle.manifest, folder)
    save_manifest(folder, manifest.model_copy(update={"files": hash_files(folder)}))
    return Bundle.open(folder)


def replanned(plan: Plan, scores: tuple[str, ...], *exits: tuple[str, str]) -> Plan:
    """Make an anytime plan of other exits and scores for the same network."""
    planned = tuple(PlannedExit(point=point, head=head) for point, head in exits)
    return plan.model_copy(update={"setting": "anytime", "scores": scores, "exits": planned})
