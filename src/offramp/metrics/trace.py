"""The trace: what each exit said of each image, and how right it was.

Written once, searched and replayed for ever: every plan and policy is arithmetic on it. On disk
it is one `.npz`, described in docs/trace.md, which any program can write.
"""

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.core.errors import BadInput, UnknownName
from offramp.core.files import written
from offramp.core.score import EXIT_AGREEMENT, FRAME_AGREEMENT
from offramp.metrics.confusion import mean_iou
from offramp.metrics.seen import Seen

FORMAT = 1
TABLES = ("scores", "intersections", "unions")
OPTIONAL = ("disagreement", "exit_agreement", "frame_agreement")


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
        disagreement: float64 E×N, share of the pixels whose label is not that of the network's
            own end; needs no truth. Absent in traces that others wrote.
        exit_agreement: float32 E×E×N, share of the cells of exit e whose label is that of exit f
            before it; absent if not recorded.
        frame_agreement: the same with the answer of exit f to the image before; 0 at the start
            of a clip.
        grids: height and width in cells of each exit's answer; absent in traces of others.
        groups: the clip, scene or city of each image; "" where it has none.
        precision: of the numbers in which the network computed.
        engine: the engine that computed, where the precision is not f32; empty: any.
    """

    images: tuple[str, ...]
    exits: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    score_names: tuple[str, ...]
    scores: NDArray[np.float64]
    intersections: NDArray[np.int64]
    unions: NDArray[np.int64]
    size: tuple[int, int]
    disagreement: NDArray[np.float64] | None = None
    exit_agreement: NDArray[np.float32] | None = None
    frame_agreement: NDArray[np.float32] | None = None
    groups: tuple[str, ...] = ()
    grids: tuple[tuple[int, int], ...] = ()
    precision: str = "f32"
    engine: str = ""

    def __post_init__(self) -> None:
        e, n = len(self.exits), len(self.images)
        wanted = {
            "scores": (e, n, len(self.score_names)),
            "intersections": (e, n, len(self.names)),
            "unions": (e, n, len(self.names)),
            "disagreement": (e, n),
            "exit_agreement": (e, e, n),
            "frame_agreement": (e, e, n),
        }
        for name, shape in wanted.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                got = str(array.shape)
                raise BadInput(f"a trace with wrong {name}", expected=f"shape {shape}", got=got)
        if len(self.groups) not in (0, n):
            raise BadInput("groups of a trace", expected=f"0 or {n}", got=str(len(self.groups)))

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

    def seen(self, rows: Sequence[int], names: Sequence[str]) -> Seen:
        """Gather what a chain of exits says: scores E×N×S.

        Args:
            rows: of the exits, in the order of the path.
            names: of the scores. The first exit has none before it to agree with.

        Raises:
            UnknownName: a score was not recorded.
        """
        scores = np.zeros((len(rows), len(self.images), len(names)))
        column, frames = None, None
        for place, name in enumerate(names):
            if name == EXIT_AGREEMENT:
                pairs = self._pairs(name, self.exit_agreement)
                for index in range(1, len(rows)):
                    scores[index, :, place] = pairs[rows[index], rows[index - 1]]
            elif name == FRAME_AGREEMENT:
                column = place
                frames = self._pairs(name, self.frame_agreement)[np.ix_(rows, rows)]
                scores[:, :, place] = frames[:, -1]  # as if the last exit always answered
            else:
                scores[:, :, place] = [self.score(row, name) for row in rows]
        return Seen(scores, column, frames)

    def subset(self, images: Sequence[int]) -> "Trace":
        """Keep some images, in the order given; whole clips where frames are compared."""
        chosen = list(images)
        arrays: dict[str, Any] = {
            name: None if array is None else array[..., chosen]
            for name, array in ((name, getattr(self, name)) for name in OPTIONAL)
        }
        arrays |= {name: getattr(self, name)[:, chosen] for name in TABLES}
        return replace(
            self,
            images=tuple(self.images[n] for n in chosen),
            groups=tuple(self.groups[n] for n in chosen) if self.groups else (),
            **arrays,
        )

    def only(self, rows: Sequence[int]) -> "Trace":
        """Keep some exits, in the order given; the last must be the network's own end."""
        kept = list(rows)
        arrays: dict[str, Any] = {
            name: None if array is None else array[kept]
            for name, array in ((name, getattr(self, name)) for name in (*TABLES, *OPTIONAL))
        }
        for name in ("exit_agreement", "frame_agreement"):
            arrays[name] = None if arrays[name] is None else arrays[name][:, kept]
        grids = tuple(self.grids[row] for row in kept) if self.grids else ()
        return replace(self, exits=tuple(self.exits[row] for row in kept), grids=grids, **arrays)

    def _pairs(self, name: str, pairs: NDArray[np.float32] | None) -> NDArray[np.float32]:
        if pairs is None:
            raise UnknownName("recorded score", name, self.score_names)
        return pairs

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
            "groups": self.groups,
            "grids": self.grids,
            "precision": self.precision,
            "engine": self.engine,
        }
        pairs = {name: getattr(self, name) for name in OPTIONAL}
        with written(path) as partial, partial.open("wb") as file:
            np.savez_compressed(
                file,
                head=np.array(json.dumps(head)),
                scores=self.scores,
                intersections=self.intersections,
                unions=self.unions,
                **{name: array for name, array in pairs.items() if array is not None},
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
                arrays = {key: file[key] for key in TABLES}
                arrays |= {key: file[key] for key in OPTIONAL if key in file}
            if head["format"] != FORMAT:
                raise BadInput(f"{path} has another format", expected=str(FORMAT))
            return cls(
                images=tuple(head["images"]),
                exits=tuple((point, name) for point, name in head["exits"]),
                names=tuple(head["names"]),
                score_names=tuple(head["score_names"]),
                size=(head["size"][0], head["size"][1]),
                groups=tuple(head.get("groups", ())),
                grids=tuple((h, w) for h, w in head.get("grids", ())),
                precision=head.get("precision", "f32"),
                engine=head.get("engine", ""),
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
