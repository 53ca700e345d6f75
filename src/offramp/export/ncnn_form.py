"""A bundle's form for ncnn: all its exits as one model, converted by pnnx.

pnnx turns a traced module into ncnn's layers. Of a model with many outputs ncnn computes what is
asked for, so that one file serves every exit.
"""

import os
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from offramp.core.bundle import Manifest, Ncnn
from offramp.core.errors import BadInput, MissingExtra, ParityError
from offramp.core.head import OWN
from offramp.core.plan import Plan
from offramp.core.score import ScoreSpec
from offramp.models.network import END, MultiExitNetwork

PARAM, BIN = "network.ncnn.param", "network.ncnn.bin"
CLOSE = 1e-3
"""By how much, relative to the largest, a number of ncnn's may differ from torch's."""


class AllExits(nn.Module):
    """Normalisation, segments, planned heads and their S scores as one module.

    Takes the frame 1×3×H×W, RGB from 0 to 255; gives, exit by exit, the feature 1×D×h×w, the
    logits 1×C×h×w and the scores 1×S.

    Args:
        network: what is exported, on the CPU.
        plan: which exits, heads and scores; the network's own end comes last in any case.

    Raises:
        BadInput: a score compares labels with another answer's, which is not part of the model.
    """

    def __init__(self, network: MultiExitNetwork, plan: Plan) -> None:
        super().__init__()
        self.network = network
        self.exits = {**{planned.point: planned.head for planned in plan.exits}, END: OWN}
        self.scores = tuple(ScoreSpec.parse(name) for name in plan.scores)
        for spec in self.scores:
            if spec.needs:
                raise BadInput(
                    f"the score '{spec.name}' cannot be computed in ncnn",
                    expected="a score of the exit's own answer alone",
                    repair="search with another score, or export without --form ncnn",
                )

    def forward(self, frame: Tensor) -> tuple[Tensor, ...]:
        """Walk the network."""
        state = self.network.begin(frame.permute(0, 2, 3, 1))
        given: list[Tensor] = []
        for index, point in enumerate(self.network.points):
            state = self.network.advance(index, state)
            if point in self.exits:
                reading = self.network.read(index, state, self.exits[point], self.scores)
                scores = torch.stack([reading.scores[spec.name] for spec in self.scores], dim=1)
                given += [state.feature, reading.logits, scores]
        return tuple(given)


def write_ncnn(network: MultiExitNetwork, manifest: Manifest, folder: Path) -> dict[str, Any]:
    """Write the ncnn model of a bundle, after comparing it with the network on noise.

    Args:
        network: the trained network.
        manifest: which exits and scores.
        folder: where the files are written.

    Returns:
        The manifest's field `ncnn`.

    Raises:
        BadInput: a score cannot be computed in ncnn, or the network cannot be converted.
        ParityError: the model does not answer as the network does; nothing is written.
        MissingExtra: pnnx or ncnn is not installed.
    """
    module = AllExits(network, manifest.plan).eval()
    outputs = [f"out{n}" for n in range(3 * len(module.exits))]  # as pnnx calls them
    form = Ncnn(
        param=PARAM,
        bin=BIN,
        frame="in0",
        features=tuple(outputs[::3]),
        exits=tuple(zip(outputs[1::3], outputs[2::3], strict=True)),
    )
    shape = (1, 3, *network.spec.size)
    noise = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).float()
    with tempfile.TemporaryDirectory() as scratch:
        convert(module, noise, Path(scratch))
        check(module, noise, form, Path(scratch))
        for name in (PARAM, BIN):
            shutil.copyfile(Path(scratch) / name, folder / name)
    return {"ncnn": form}


def convert(module: nn.Module, frame: Tensor, folder: Path) -> None:
    """Write a module as `PARAM` and `BIN` into a folder, beside other files of pnnx's.

    Raises:
        BadInput: the module cannot be traced, or pnnx fails on it.
        MissingExtra: pnnx is not installed.
    """
    try:
        from pnnx import EXEC_PATH
    except ModuleNotFoundError as error:
        raise MissingExtra("pnnx", "ncnn", "writing models for ncnn") from error
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of what is fixed by tracing: the size is
            torch.jit.trace(module, (frame,), check_trace=False).save(str(folder / "network.pt"))
    except Exception as error:  # a foreign forward may raise anything
        raise BadInput("the network cannot be traced for ncnn", got=_last(str(error))) from error
    shape = ",".join(str(side) for side in frame.shape)
    options = [f"inputshape=[{shape}]f32", "fp16=0", f"ncnnparam={PARAM}", f"ncnnbin={BIN}"]
    done = subprocess.run(
        [EXEC_PATH, "network.pt", *options],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not all((folder / name).is_file() for name in (PARAM, BIN)):
        raise BadInput("pnnx cannot convert the network", got=_last(done.stderr or done.stdout))


def check(module: AllExits, frame: Tensor, form: Ncnn, folder: Path) -> None:
    """Compare every blob of a model with what the module gives.

    Raises:
        BadInput: ncnn lacks a layer of the model.
        ParityError: a blob differs.
    """
    from offramp.runtime.ncnn import feed, load_net

    _require_layers(module, form, folder / form.param)
    extractor = feed(load_net(folder, form, 1), form, frame[0].byte().permute(1, 2, 0).numpy())
    with torch.no_grad():
        wanted = module(frame)
    for blob, name, want in zip(_blobs(form), _names(module), wanted, strict=True):
        status, mat = extractor.extract(blob)
        got = torch.from_numpy(np.array(mat))
        if status != 0 or got.shape not in (want.shape, want.shape[1:]):
            raise ParityError(f"{name} cannot be computed in ncnn")
        gap, largest = float((got.view(want.shape) - want).abs().max()), float(want.abs().max())
        if not gap <= CLOSE * max(largest, 1.0):
            raise ParityError(f"{name} differs in ncnn: by {gap:.1e}, of at most {largest:.1e}")


def _require_layers(module: AllExits, form: Ncnn, param: Path) -> None:
    """Refuse a model with a layer that pnnx could not express; say what depends on it."""
    lacking: dict[str, str] = {}  # which layer is missing before a blob
    for line in param.read_text(encoding="utf-8").splitlines()[2:]:
        kind, _, takes, gives, *rest = line.split()
        inputs = rest[: int(takes)]
        outputs = rest[int(takes) : int(takes) + int(gives)]
        missing = next((lacking[blob] for blob in inputs if blob in lacking), "")
        if missing or not kind.isalnum():  # ncnn's own are single words
            lacking.update(dict.fromkeys(outputs, missing or kind))
    for blob, name in zip(_blobs(form), _names(module), strict=True):
        if blob in lacking:
            raise BadInput(
                f"{name} cannot be computed in ncnn",
                got=f"a layer {lacking[blob]}, which it lacks",
                repair="choose another, or export without --form ncnn",
            )


def _blobs(form: Ncnn) -> list[str]:
    pairs = zip(form.features, form.exits, strict=True)
    return [blob for feature, head in pairs for blob in (feature, *head)]


def _names(module: AllExits) -> list[str]:
    """Say in words what each output is."""
    scores = ", ".join(spec.name for spec in module.scores)
    return [
        f"{what} at '{point}'"
        for point, head in module.exits.items()
        for what in ("the feature", f"the head {head}", f"the scores {scores}")
    ]


def _last(text: str) -> str:
    return ([line.strip() for line in text.splitlines() if line.strip()] or ["nothing"])[-1]
