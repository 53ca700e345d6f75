"""`offramp bench`: latency per exit."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.console import Json, say, table, track, verb
from offramp.cli.engine import Engine, Precision, Threads
from offramp.core.errors import BadInput

if TYPE_CHECKING:
    from offramp.runtime.bench import Laps, Timed
    from offramp.runtime.paths import Paths
    from offramp.runtime.plain import Plain
    from offramp.runtime.spread import Spread

PACKAGES = ("offramp", "numpy", "onnxruntime", "openvino", "ncnn", "torch")
"""Whose versions are told, if they were loaded."""


@verb
def bench(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    against: Annotated[
        Path | None, typer.Option(help="Another bundle or any ONNX file of one image, in turn.")
    ] = None,
    against_engine: Annotated[
        str | None, typer.Option(help="Another engine, in turn; of that bundle, if one is given.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="How often each path is timed.", min=3)] = 100,
    engine: Engine = "onnxruntime",
    precision: Precision = None,
    threads: Threads = None,
    plot: Annotated[Path | None, typer.Option(help="Draw it: an SVG file to write.")] = None,
    json: Json = False,
) -> dict[str, Any]:
    """Time the path to every exit, and the full network beside it, interleaved."""
    if plot is not None and plot.suffix != ".svg":
        expected = "a name that ends in .svg"
        raise BadInput("the plot is an SVG file", expected=expected, got=str(plot))
    from offramp.runtime.bench import bench as time_contenders
    from offramp.runtime.energy import Meter
    from offramp.runtime.engine import count_threads
    from offramp.runtime.machine import frequency
    from offramp.runtime.paths import Paths

    own = Paths.open(bundle, engine, threads, precision)
    other = _other(own, bundle, against, against_engine, threads)
    before = frequency()
    meter = Meter.find()
    contenders = [own, *([other] if other else [])]
    timed = time_contenders(contenders, rounds, meter=meter, track=track)
    after = frequency()
    result = {
        **_described(own, timed),
        "rounds": rounds,
        "threads": count_threads(threads),
        **_conditions(),
        "frequency_mhz": [None if f is None else round(f.mhz) for f in (before, after)],
        "against": None if other is None else _contender(other, timed[1]),
    }
    _say(result, json)
    if plot is not None:
        _draw(result, bundle.name, plot)
        say(f"plot: {plot}", json)
    return {**result, "plot": None if plot is None else str(plot)}


def _other(
    own: "Paths", bundle: Path, against: Path | None, engine: str | None, threads: int | None
) -> "Paths | Plain | None":
    """Open what the bundle is timed against; none: only its own full network."""
    from offramp.runtime.paths import Paths
    from offramp.runtime.plain import Plain

    if against is None and engine is None:
        return None
    if against is not None and against.suffix == ".onnx":
        if engine is not None:
            raise BadInput("a plain ONNX file runs in onnxruntime", repair="no --against-engine")
        return Plain(against, own.bundle.manifest.model.size, threads)
    return Paths.open(against or bundle, engine or own.engine.name, threads)


def _described(own: "Paths", timed: "list[Timed]") -> dict[str, Any]:
    """Describe a bundle's paths, and how they compare."""
    import numpy as np

    from offramp.runtime.bench import paired
    from offramp.runtime.spread import Spread

    mine, full = timed[0], timed[0].alone
    theirs = timed[1] if len(timed) > 1 else full
    decisions = [
        path.decision / min(number, len(mine.paths) - 1)
        for number, path in enumerate(mine.paths, 1)
        if len(mine.paths) > 1
    ]
    return {
        "exits": [
            {"point": point, **_laps(path)}
            for point, path in zip(own.points, mine.paths, strict=True)
        ],
        "full": _laps(mine.full),
        "full_ms": full.expected,
        "decode_ms": Spread.of(np.concatenate([p.decode for p in mine.paths])).p50,
        "decision_ms": Spread.of(np.concatenate(decisions)).p50 if decisions else 0.0,
        "expected_ms": mine.expected,
        "fps": 1000 / float(mine.rounds.mean()),
        **({} if mine.energy_mj is None else {"energy_mj": mine.energy_mj}),
        "against_ms": theirs.expected,
        "ratio": theirs.expected / mine.expected,
        "paired_ratio": _interval(paired(theirs, mine)),
        "full_ratio": full.expected / mine.expected,
        "paired_full_ratio": _interval(paired(full, mine)),
        "engine": own.engine.label,
        "precision": own.engine.precision,
        "size": list(own.bundle.manifest.model.size),
    }


def _contender(other: "Paths | Plain", timed: "Timed") -> dict[str, Any]:
    """Describe what a bundle was timed against."""
    from offramp.runtime.paths import Paths

    if isinstance(other, Paths):
        return {
            "bundle": str(other.bundle.folder),
            "engine": other.engine.label,
            "precision": other.engine.precision,
            "size": list(other.bundle.manifest.model.size),
            "exits": [
                {"point": point, **_laps(path)}
                for point, path in zip(other.points, timed.paths, strict=True)
            ],
            "full": _laps(timed.full),
        }
    return {
        "graph": str(other.file),
        "takes": other.takes,
        "gives": list(other.gives),
        "full": _total(timed.full),
    }


def _laps(laps: "Laps") -> dict[str, Any]:
    """Describe a path's times, and what parts of it take."""
    from offramp.runtime.spread import Spread

    return {
        **_total(laps),
        "read_ms": Spread.of(laps.read).p50,
        "decision_share": float(laps.decision.sum() / laps.total.sum()),
        "decode_share": float(laps.decode.sum() / laps.total.sum()),
    }


def _total(laps: "Laps") -> dict[str, Any]:
    from offramp.runtime.spread import Spread

    total = Spread.of(laps.total)
    return {
        "p50_ms": total.p50,
        "p95_ms": total.p95,
        "p99_ms": total.p99,
        "p50_interval_ms": total.interval and list(total.interval),
        "fps": laps.fps,
        **({} if laps.energy_mj is None else {"energy_mj": laps.energy_mj}),
    }


def _interval(ratio: "Spread") -> dict[str, Any]:
    low, high = ratio.interval or (None, None)
    return {"median": ratio.p50, "low": low, "high": high}


def _conditions() -> dict[str, Any]:
    from offramp.runtime.machine import describe_machine, versions

    loaded = [name for name in PACKAGES if name in sys.modules]
    return {**describe_machine(), "versions": versions(loaded)}


def _say(result: dict[str, Any], json: bool) -> None:
    from offramp.core.model import format_size

    energy = "energy_mj" in result
    columns = [
        "path to",
        "median",
        "95 % interval",
        "p95",
        "p99",
        "a second",
        "head",
        "deciding",
        "decoding",
    ]
    rows = [_row(e["point"], e) for e in result["exits"]]
    rows.append(_row("full network", result["full"]))
    if result["against"]:
        rows.append(_row("against", result["against"]["full"]))
    say(table([*columns, *(["energy"] if energy else [])], rows), json)
    say(
        f"at the plan's exit shares {result['expected_ms']:.3f} ms, {result['fps']:.1f} frames "
        f"a second; its full network takes {_times(result['paired_full_ratio'])} as long",
        json,
    )
    if result["against"]:
        other = result["against"]
        name = other.get("graph") or f"{other['bundle']} in {other['engine']}"
        longer = _times(result["paired_ratio"])
        say(f"{name} takes {longer} as long, {result['against_ms']:.3f} ms", json)
    label = result["engine"]
    if result["precision"] not in label:
        label = f"{label}, {result['precision']}"
    where = f"{result['processor']}, {result['frequency']}"
    say(f"{label}, {where}; {format_size(result['size'])}, {result['rounds']} rounds", json)


def _row(name: str, laps: dict[str, Any]) -> list[str]:
    interval = laps["p50_interval_ms"]
    return [
        name,
        f"{laps['p50_ms']:.3f} ms",
        f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else "-",
        *(f"{laps[key]:.3f} ms" for key in ("p95_ms", "p99_ms")),
        f"{laps['fps']:.1f}",
        f"{laps['read_ms']:.3f} ms" if "read_ms" in laps else "-",
        *(
            f"{100 * laps[key]:.2f} %" if key in laps else "-"
            for key in ("decision_share", "decode_share")
        ),
        *([f"{laps['energy_mj']:.2f} mJ"] if "energy_mj" in laps else []),
    ]


def _times(paired: dict[str, Any]) -> str:
    bounds = f" ({paired['low']:.3f} to {paired['high']:.3f})" if paired["low"] else ""
    return f"{paired['median']:.3f} times{bounds}"


def _draw(result: dict[str, Any], title: str, file: Path) -> None:
    from offramp.core.files import write_text
    from offramp.core.model import format_size
    from offramp.report.bench_figure import Bar, BenchFigure, draw_bench

    def bar(name: str, laps: dict[str, Any]) -> Bar:
        interval = laps["p50_interval_ms"]
        return Bar(
            name=name,
            p50_ms=laps["p50_ms"],
            p95_ms=laps["p95_ms"],
            p99_ms=laps["p99_ms"],
            interval_ms=interval and (interval[0], interval[1]),
            decode_share=laps.get("decode_share", 0.0),
        )

    bars = [bar(e["point"], e) for e in result["exits"]] + [bar("full network", result["full"])]
    other = result["against"]
    if other:
        name = Path(other.get("graph") or other["bundle"]).name
        bars += [bar(f"{name}: {e['point']}", e) for e in other.get("exits", [])]
        bars.append(bar(f"{name}: full", other["full"]))
    said = f"{title}, {format_size(result['size'])}, {result['engine']}"
    record = BenchFigure(title=said, bars=tuple(bars), expected_ms=result["expected_ms"])
    write_text(file, draw_bench(record))
