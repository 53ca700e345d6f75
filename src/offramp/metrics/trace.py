"""The trace: what each exit said of each image, and how right it was.

Written once, searched and replayed for ever: every plan and policy is arithmetic on it. On disk
it is one `.npz`, described in docs/trace.md, which any program can write.
"""

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import BadInput, UnknownName
from offramp.core.files import written
from offramp.metrics.confusion import mean_iou

FORMAT = 1


@dataclass(frozen=True)
class Trace:
    """Everything that policies and search may know.

    Attributes:
        images: the N images, as paths below the data set's root.
        exits: the E pairs of position and head name, in the order of the path; the last is the
            network's own end.
        names: names of the C classes.
        score_names: names of the S scores.
        scores: float64 E×N×S.
        intersections: int64 E×N×C, pixels.
        unions: int64 E×N×C, pixels.
        size: input height and width in pixels at which the network ran.
    """

    images: tuple[str, ...]
    exits: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    score_names: tuple[str, ...]
    scores: NDArray[np.float64]
    intersections: NDArray[np.int64]
    unions: NDArray[np.int64]
    size: tuple[int, int]

    def __post_init__(self) -> None:
        e, n = len(self.exits), len(self.images)
        wanted = {
            "scores": (e, n, len(self.score_names)),
            "intersections": (e, n, len(self.names)),
            "unions": (e, n, len(self.names)),
        }
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                got = str(getattr(self, name).shape)
                raise BadInput(f"a trace with wrong {name}", expected=f"shape {shape}", got=got)

    def index(self, point: str, head: str) -> int:
        """Find the row of an exit.

        Raises:
            UnknownName: it was not recorded.
        """
        try:
            return self.exits.index((point, head))
        except ValueError:
            known = [f"{p}/{h}" for p, h in self.exits]
            raise UnknownName("recorded exit", f"{point}/{head}", known) from None

    def score(self, exit_index: int, name: str) -> NDArray[np.float64]:
        """Look up one score of one exit; shape N.

        Raises:
            UnknownName: the score was not recorded.
        """
        if name not in self.score_names:
            raise UnknownName("recorded score", name, self.score_names)
        column: NDArray[np.float64] = self.scores[exit_index, :, self.score_names.index(name)]
        return column

    def miou(self, taken: NDArray[np.intp]) -> float:
        """Compute dataset mIoU when image n is answered by exit `taken[n]` (shape N)."""
        rows = np.arange(len(self.images))
        inter = self.intersections[taken, rows].sum(axis=0)  # C
        union = self.unions[taken, rows].sum(axis=0)  # C
        return float(mean_iou(inter, union))

    def miou_per_image(self, taken: NDArray[np.intp]) -> NDArray[np.float64]:
        """Compute each image's mIoU when image n is answered by exit `taken[n]`; shape N."""
        rows = np.arange(len(self.images))
        return mean_iou(self.intersections[taken, rows], self.unions[taken, rows])

    def exit_miou(self, exit_index: int) -> float:
        """Compute dataset mIoU of one exit over all images."""
        return self.miou(np.full(len(self.images), exit_index))

    def save(self, path: Path) -> None:
        """Write the trace as `.npz`."""
        head = {
            "format": FORMAT,
            "images": self.images,
            "exits": self.exits,
            "names": self.names,
            "score_names": self.score_names,
            "size": self.size,
        }
        with written(path) as partial, partial.open("wb") as file:
            np.savez_compressed(
                file,
                head=np.array(json.dumps(head)),
                scores=self.scores,
                intersections=self.intersections,
                unions=self.unions,
            )

    @classmethod
    def load(cls, path: Path) -> "Trace":
        """Read a trace.

        Raises:
            BadInput: the file is absent, no trace, or of a later format.
        """
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                head = json.loads(str(file["head"]))
                arrays = {key: file[key] for key in ("scores", "intersections", "unions")}
            if head["format"] != FORMAT:
                raise BadInput(f"{path} has another format", expected=str(FORMAT))
            return cls(
                images=tuple(head["images"]),
                exits=tuple((point, name) for point, name in head["exits"]),
                names=tuple(head["names"]),
                score_names=tuple(head["score_names"]),
                size=(head["size"][0], head["size"][1]),
                **arrays,
            )
        except BadInput:
            raise
        except FileNotFoundError:
            raise BadInput(
                f"there is no trace at {path}", repair="record one first: offramp record RUN"
            ) from None
        except _UNREADABLE as error:
            raise BadInput(f"{path} is not a trace", got=str(error)) from None


_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy, zipfile and a head with other content raise."""
