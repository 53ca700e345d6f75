"""How soon is a camera's fault noticed, how soon is it back, and do other cameras feel it?

Two of GStreamer's RTSP servers on this machine are farms of cameras, `offramp serve` watches both.
The cameras of one farm are hurt in every way below, round after round; those of the other are not.
Each time `offramp serve` starts anew: cameras that fail again and again within a minute are asked
ever less, which is another question.

    python benchmarks/faults.py BUNDLE [--video FILE] [--rounds 3] [--hold 10]

| fault | what happens | what ends it |
|---|---|---|
| kill | the server of the cameras is killed | it is started again |
| freeze | it is stopped, its connections stay open | it goes on |
| size | it is killed | it is started again and sends frames of another size |
| flip | one byte in a hundred of one camera is spoilt | no more |
| cut | one camera's connections are closed | they can be opened again at once |
| hold | one camera's bytes are held back, its connections stay open | no more |

A fault is noticed when the camera is said to be anything but running, or damaged frames count.
A camera is back when it runs and three more of its frames were answered. Wanted: noticed within
3 s, back within 5 s, others' frame rate within 5 % of what it was before. Where the level of
degradation is above 0, the machine was too slow: then answers say nothing about the faults.
Needs /usr/bin/python3 with GStreamer's bindings; see tests/video/rtsp_farm.py.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from machine import save
from served import Served

sys.path.append(str(Path(__file__).resolve().parents[1]))

from tests.video.farm import Farm, write_clip
from tests.video.proxy import Proxy

SIZES = ("640x360", "320x192")
FPS = 10
EVERY_S = 0.05
LONGEST_S = 45.0
GOALS = {"noticed_s": 3.0, "back_s": 5.0, "others": 0.05}


@dataclass(frozen=True)
class Camera:
    """What is seen of a camera at one moment."""

    state: str
    decoded: int
    corrupt: int
    answered: int
    size: tuple[int, int] | None
    level: int


Sample = tuple[float, dict[str, Camera]]


@dataclass(frozen=True)
class Fault:
    """A way to hurt cameras.

    Attributes:
        cameras: which are hurt.
        begin: hurts them; gives the time.
        end: ends that; gives the time.
        lasts: whether it goes on until it is ended.
    """

    cameras: tuple[str, ...]
    begin: Callable[[], float]
    end: Callable[[], float]
    lasts: bool = True


def main() -> None:
    """Hurt, watch, save, and print the table."""
    told = _arguments()
    found: dict[str, list[dict[str, Any]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        farm = stack.enter_context(Farm("--cameras", 3, "--size", SIZES[0], "--fps", FPS))
        other, paths = _others(told, folder)
        stack.enter_context(other)
        proxy = stack.enter_context(Proxy(farm.port))
        hurt = {"a": farm.url("cam0"), "b": farm.url("cam1")}
        hurt["wire"] = f"rtsp://127.0.0.1:{proxy.port}/cam2"
        others = {f"other{n}": other.url(path) for n, path in enumerate(paths)}
        faults = _faults(farm, proxy, tuple(hurt))
        for number in range(told.rounds):
            for name in told.faults:
                with Served(told.bundle, {**hurt, **others}, folder) as served:
                    served.await_states("running")
                    row = _suffer(served, faults[name], tuple(others), told.hold)
                found.setdefault(name, []).append(row)
                print(f"round {number + 1}: {name}: {row}", flush=True)
    save(told.out / f"{told.name}.json", {"goals": GOALS, "faults": found}, "av")
    print(_table(found))


def _arguments() -> argparse.Namespace:
    names = ("kill", "freeze", "size", "flip", "cut", "hold")
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("bundle", type=Path)
    arguments.add_argument("--video", type=Path, help="shown by the cameras that are not hurt")
    arguments.add_argument("--others", type=int, default=3, help="cameras that are not hurt")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--hold", type=float, default=10, help="seconds that a fault lasts")
    arguments.add_argument("--faults", nargs="+", default=names, choices=names)
    arguments.add_argument("--name", default="faults", help="of the result file")
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    told = arguments.parse_args()
    told.out.mkdir(exist_ok=True)
    return told


def _others(told: argparse.Namespace, folder: Path) -> tuple[Farm, list[str]]:
    """Set up the farm that nothing happens to, and name its streams."""
    if told.video is None:
        farm = Farm("--cameras", told.others, "--size", SIZES[0], "--fps", FPS)
        return farm, [f"cam{n}" for n in range(told.others)]
    clip = write_clip(told.video, folder / "clip.h264", (640, 360), FPS)
    farm = Farm("--cameras", 0, "--fps", FPS, *[clip] * told.others)
    return farm, [f"clip{n}" for n in range(told.others)]


def _faults(farm: Farm, proxy: Proxy, cameras: tuple[str, ...]) -> dict[str, Fault]:
    sizes = list(SIZES)

    def other_size() -> float:
        sizes.reverse()
        return farm.start("--cameras", 3, "--size", sizes[0], "--fps", FPS)

    wire = cameras[-1:]

    def clean() -> float:
        return proxy.set("clean")

    return {
        "kill": Fault(cameras, farm.kill, farm.start),
        "freeze": Fault(cameras, farm.freeze, farm.thaw),
        "size": Fault(cameras, farm.kill, other_size),
        "flip": Fault(wire, lambda: proxy.set("flip"), clean),
        "cut": Fault(wire, proxy.cut, time.perf_counter, lasts=False),
        "hold": Fault(wire, lambda: proxy.set("hold"), clean),
    }


def _suffer(served: Served, fault: Fault, others: Sequence[str], hold_s: float) -> dict[str, Any]:
    """Watch before, during and after one fault."""
    calm = list(_samples(served, lambda: False, hold_s + GOALS["back_s"]))
    begun = fault.begin()
    samples = list(_samples(served, lambda: False, hold_s if fault.lasts else 0.0))
    ended = fault.end()
    corrupt = {name: calm[-1][1][name].corrupt for name in fault.cameras}

    def returned() -> list[float | None]:
        return [_returned(samples, name, ended, corrupt[name]) for name in fault.cameras]

    for sample in _samples(served, lambda: None not in returned(), LONGEST_S):
        samples.append(sample)  # noqa: PERF402 `returned` looks at it in between
    back = returned()
    if not fault.lasts:  # long enough to count the others' frames
        samples += _samples(served, lambda: False, hold_s)
    rates = [_rate(part, others) for part in (calm, samples)]
    return {
        "noticed_s": _since(begun, [_noticed(samples, n, corrupt[n]) for n in fault.cameras]),
        "back_s": _since(ended, back),
        "others_decoded": rates[1][0] / rates[0][0],
        "others_answered": rates[1][1] / rates[0][1],
        "level": max(camera.level for _, seen in calm + samples for camera in seen.values()),
        "sizes": sorted({str(samples[-1][1][name].size) for name in fault.cameras}),
    }


def _samples(served: Served, over: Callable[[], bool], seconds: float) -> Iterator[Sample]:
    """Look at all cameras, again and again, for so long or until it is over; once at least."""
    end = time.perf_counter() + seconds
    while True:
        cameras = _seen(served)
        now = time.perf_counter()
        yield now, cameras
        if now >= end or over():
            return
        time.sleep(EVERY_S)


def _seen(served: Served) -> dict[str, Camera]:
    told = {}
    for one in served.ask("/api/cameras"):
        status = one["status"]
        told[one["spec"]["name"]] = Camera(
            state=status["state"],
            decoded=status["counters"]["decoded"],
            corrupt=status["counters"]["corrupt"],
            answered=one["counts"]["answered"],
            size=tuple(status["size"]) if status["size"] else None,
            level=one["level"],
        )
    return told


def _noticed(samples: Sequence[Sample], name: str, corrupt: int) -> float | None:
    """Tell when a camera was first said to be not well; it had so many corrupt frames before."""
    for at, cameras in samples:
        if cameras[name].state != "running" or cameras[name].corrupt > corrupt:
            return at
    return None


def _returned(samples: Sequence[Sample], name: str, ended: float, corrupt: int) -> float | None:
    """Tell when a camera that was not well ran again and was answered, after the fault's end."""
    noticed = _noticed(samples, name, corrupt)
    if noticed is None:
        return None
    since = [(at, cameras[name]) for at, cameras in samples if at >= max(ended, noticed)]
    for at, camera in since:
        if camera.state == "running" and camera.answered >= since[0][1].answered + 3:
            return at
    return None


def _since(start: float, times: Sequence[float | None]) -> float | None:
    """Tell how long the last camera took; none if one never did."""
    known = [at - start for at in times if at is not None]
    return max(known) if len(known) == len(times) else None


def _rate(samples: Sequence[Sample], cameras: Sequence[str]) -> tuple[float, float]:
    """Tell how many frames a second were decoded and answered."""
    (start, first), (end, last) = samples[0], samples[-1]
    decoded = sum(last[name].decoded - first[name].decoded for name in cameras)
    answered = sum(last[name].answered - first[name].answered for name in cameras)
    return decoded / (end - start), answered / (end - start)


def _table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Lay the worst of all rounds out."""
    lines = ["| fault | noticed | back | others: sent | others: answered |", "|---" * 5 + "|"]
    for name, rows in found.items():
        times = [[row[key] for row in rows] for key in ("noticed_s", "back_s")]
        worst = ["never" if None in some else f"{max(some):.2f} s" for some in times]
        shares = [
            f"{min(some):.3f} to {max(some):.3f}"
            for some in ([row[f"others_{key}"] for row in rows] for key in ("decoded", "answered"))
        ]
        lines.append("| " + " | ".join([name, *worst, *shares]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
