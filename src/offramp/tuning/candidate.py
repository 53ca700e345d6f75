"""The record of a study: every candidate with what is known of it, and the one that was chosen.

`STUDY/candidates.json` holds it; it is rewritten whole after every event, so it can be read at
any moment, also while the study runs or after it was killed. IOT's tables have the same columns.

STUDY/
  candidates.json        this record
  study.db               Optuna's storage: one trial a candidate
  runs/ID/               training of a candidate, an ordinary run folder
  exits/ID/              stage 2 of a candidate, an ordinary run folder with trace, costs, plans
  chosen.offramp/        the chosen candidate as a bundle
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from offramp.core.errors import BadInput
from offramp.core.files import read_json, write_text
from offramp.core.model import Size
from offramp.core.spec import Spec

CANDIDATES = "candidates.json"
FORMAT = 1

Knob = bool | int | float
"""The value of a static choice, such as `width: 0.5` or `pyramid: false`."""

Stage = Literal[
    "baseline",
    "resolution-untrained",
    "resolution",
    "luma",
    "width",
    "expansion",
    "repetition",
    "pyramid",
    "combination",
    "exits",
]
"""Which step of the pipeline proposed a candidate, in order of effort (IOT §3)."""

Status = Literal["measured", "too-slow", "training", "stopped", "trained", "failed"]
"""How far a candidate is.

- measured: its costs and its latency are known, training has not begun.
- too-slow: its measured latency misses the bound, so it is never trained.
- training: under way, or interrupted; a resumed study goes on from its last epoch.
- stopped: given up at a rung, because another that is at least as fast was clearly better there;
  `iou` is what it had reached by then.
- trained: trained to its end. Also those that need no training of their own: lower resolutions
  with the baseline's weights ("resolution-untrained"), and points with exits.
- failed: it could not be built, exported or trained; `reason` says why.
"""


class Latency(Spec):
    """Measured time of one image, in milliseconds, from the frame to the enlarged labels.

    Attributes:
        median_ms: the median over all rounds.
        p5_ms: 5th percentile.
        p95_ms: 95th percentile.
        rounds: how often it was timed.
        predicted: it is the mean over the validation images of the measured times of the paths
            that they take (points with more than one exit); so are p5 and p95.
    """

    median_ms: float
    p5_ms: float
    p95_ms: float
    rounds: int
    predicted: bool = False

    @property
    def fps(self) -> float:
        """Images a second at the median."""
        return 1000 / self.median_ms


class Rung(Spec):
    """What a candidate had reached when it was compared with the others.

    Attributes:
        epoch: how many epochs were finished.
        iou: IoU on the validation split by then, of the best epoch.
        passed: it went on.
    """

    epoch: int
    iou: float
    passed: bool


class Candidate(Spec):
    """One network that might do.

    Attributes:
        id: short and unique in the study; names folders.
        stage: which step proposed it.
        kind: "static", or "exits" for a plan of early exits on top of a static candidate.
        size: input height and width in pixels.
        knobs: static choices that the network is built with, all of those that the study knows,
            also those at their defaults; `channels: 1` is luma.
        status: see `Status`.
        reason: why it is too slow, stopped or failed, in words; else empty.
        parameters: number of parameters.
        macs: multiply-accumulates of one image; of a point with exits the mean over images.
        input_mb: megabytes (10^6) of one float32 input image.
        forward_mb: megabytes of what all layers put out for one image, forward and backward, as
            IOT's tables count it.
        latency: measured, or from the target device; absent where that failed.
        iou: on the validation split at the masks' own resolution: of class 1 where there are
            two classes (IOT), mIoU where there are more. Points with exits are judged on the same
            images; their thresholds were fitted on others. Absent before training.
        iou_split: which images `iou` is about: the validation images, of all candidates.
        epochs: finished epochs.
        epochs_planned: how many a full training has.
        seconds: time spent on training it, over all interruptions.
        rungs: comparisons on the way.
        parent: id of the candidate whose weights it started from; of a point with exits, the
            static candidate below it; of resolution-untrained, the baseline.
        inherited: what was taken over from the parent, in words.
        inherited_share: share of its weights that is in tensors taken over as they are, 0 to 1.
        run: its run folder, relative to the study; empty where there is none.
        plan: the plan file of a point with exits, relative to the study; else empty.
    """

    id: str
    stage: Stage
    kind: Literal["static", "exits"] = "static"
    size: Size
    knobs: dict[str, Knob] = Field(default_factory=dict)
    status: Status
    reason: str = ""
    parameters: int = 0
    macs: float = 0.0
    input_mb: float = 0.0
    forward_mb: float = 0.0
    latency: Latency | None = None
    iou: float | None = None
    iou_split: str = "val"
    epochs: int = 0
    epochs_planned: int = 0
    seconds: float = 0.0
    rungs: tuple[Rung, ...] = ()
    parent: str | None = None
    inherited: str = ""
    inherited_share: float = 0.0
    run: str = ""
    plan: str = ""

    @property
    def finished(self) -> bool:
        """Tell whether its IoU is final: it may stand on a frontier."""
        return self.status == "trained" and self.iou is not None and self.latency is not None


class Chosen(Spec):
    """The candidate that the study ends with.

    Attributes:
        id: which one.
        fits: it keeps to both bounds, by its re-measured latency and its validation IoU.
        missing: what it misses, in words, where it does not fit.
        latency: measured again, in turn with the baseline.
        baseline_latency: the baseline's, measured in turn with it.
        iou: as in the candidate.
        test_iou: on the test split, where the data set has one.
        baseline_test_iou: the baseline's there.
        bundle: folder of the exported bundle, relative to the study; empty if not exported.
    """

    id: str
    fits: bool
    missing: str = ""
    latency: Latency
    baseline_latency: Latency
    iou: float
    test_iou: float | None = None
    baseline_test_iou: float | None = None
    bundle: str = ""


class Study(Spec):
    """The whole record.

    Attributes:
        format: version of the layout.
        model: name of the network in the zoo.
        data: absolute path of the data set's YAML file.
        names: class names.
        metric: what IoU means here, in words: "IoU of 'package'" or "mIoU of 5 classes".
        level: which stages were open.
        size: native input height and width in pixels, that of the baseline.
        max_latency_ms: the bound on latency.
        min_iou: the bound on IoU, 0 to 1.
        budget_s: the time budget in seconds.
        spent_s: time spent, over all interruptions.
        done: the study came to its end: no stage and no time is left.
        engine: what was timed and where: engine, threads, machine, processor, cores, frequency.
        remote: the latencies come from a target device's file.
        stages: the stages of this network at this level, in order.
        candidates: in the order in which they were proposed; the first is the baseline.
        chosen: absent until the study ends or is interrupted with a usable candidate.
        notes: remarks that a reader should know, such as where calibration images came from.
    """

    format: Literal[1] = 1
    model: str
    data: str
    names: tuple[str, ...]
    metric: str
    level: Literal["entry", "intermediate", "expert"]
    size: Size
    max_latency_ms: float
    min_iou: float
    budget_s: float
    spent_s: float = 0.0
    done: bool = False
    engine: dict[str, str] = Field(default_factory=dict)
    remote: bool = False
    stages: tuple[Stage, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    chosen: Chosen | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> "Study":
        """Read the record of the study in `folder`.

        Raises:
            BadInput: there is none, or it is not understood.
        """
        file = folder / CANDIDATES
        value = read_json(file)
        if not isinstance(value, dict):
            raise BadInput(f"{file} is not the record of a study", expected="a JSON object")
        return cls.parse(value, str(file))

    def save(self, folder: Path) -> None:
        """Write the record, whole or not at all."""
        write_text(folder / CANDIDATES, self.model_dump_json(indent=2) + "\n")

    def candidate(self, id: str) -> Candidate:
        """Look a candidate up.

        Raises:
            BadInput: there is none of that id.
        """
        for found in self.candidates:
            if found.id == id:
                return found
        raise BadInput(f"the study has no candidate '{id}'")
