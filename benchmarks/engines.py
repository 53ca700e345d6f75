"""Does stopping early cost more than a network that ends there, on any engine?

For each network, engine, precision and number of threads: the path to each exit, asking that
exit's head alone, against the same computation in one piece, and the whole path against the uncut
network; timed in turn, round after round. The ratio should be at most 1.05:

    python benchmarks/engines.py --rounds 60 [--networks fastscnn] [--engines onnxruntime:f32]

Weights are random. Every race runs in a process of its own and is saved when it ends; one that is
in the result file already, with as many rounds, is not run again. Bundles are kept in --work.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import save

from offramp.core.model import format_size, parse_size

NETWORKS = ("fastscnn", "hrnet_w18_small_v2", "fcn_mobilenetv2", "fcn_resnet50")
ENGINES = (
    *("onnxruntime:f32", "onnxruntime:int8", "openvino:f32", "openvino:bf16", "openvino:int8"),
    *("torch:f32", "torch:bf16", "ncnn:f32", "onnxruntime-cuda:f32", "torch-cuda:f32"),
)
LIBRARIES = ("openvino", "ncnn")
GOAL = 1.05


def main() -> None:
    """Run what is missing, save, and print the table."""
    told = _arguments()
    told.out.mkdir(exist_ok=True)
    file = told.out / f"engines_{told.size}.json"
    if told.race:
        print(json.dumps(_race(told)))
        return
    found: dict[str, Any] = {}
    if file.is_file() and not told.afresh:
        found = json.loads(file.read_text()).get("races", {})
    for network in told.networks:
        for threads in told.threads:
            for engine in told.engines:
                key = f"{network} {engine} {threads}"
                if found.get(key, {}).get("rounds") == told.rounds:
                    continue
                print(key, flush=True)
                found[key] = {"rounds": told.rounds, **_run(told, network, engine, threads)}
                print(f"  {found[key].get('skipped', 'done')}", flush=True)
                save(file, {"size": told.size, "goal": GOAL, "races": found}, *LIBRARIES)
    print(_table(found))


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--networks", nargs="+", default=list(NETWORKS))
    arguments.add_argument("--engines", nargs="+", default=list(ENGINES), help="engine:precision")
    arguments.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    arguments.add_argument("--size", default="512x512")
    arguments.add_argument("--rounds", type=int, default=60)
    arguments.add_argument("--afresh", action="store_true", help="forget earlier results")
    arguments.add_argument("--race", nargs=3, help=argparse.SUPPRESS)
    arguments.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    work = Path(tempfile.gettempdir()) / "offramp-engines"
    arguments.add_argument("--work", type=Path, default=work, help="folder of the bundles")
    told = arguments.parse_args()
    told.size = format_size(parse_size(told.size))
    return told


def _run(told: argparse.Namespace, network: str, engine: str, threads: int) -> dict[str, Any]:
    """Race in a process of its own: a thread pool keeps the size that it gets first."""
    words = [sys.executable, __file__, "--size", told.size, "--rounds", str(told.rounds)]
    words += ["--work", str(told.work), "--race", network, engine, str(threads)]
    done = subprocess.run(
        words,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        check=False,
    )
    if done.returncode:
        return {"skipped": f"exit status {done.returncode}"}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _race(told: argparse.Namespace) -> dict[str, Any]:
    """Time the paths of one network on one engine."""
    from contests import END, WHOLE, points, race, require_networks, write

    from offramp.core.errors import OfframpError
    from offramp.runtime.bench import interleaved
    from offramp.runtime.ort import share_pool
    from offramp.runtime.spread import Spread

    network, named, threads = told.race
    engine, precision = named.split(":")
    folder = told.work / told.size / network
    share_pool(int(threads))  # before exporting needs one
    require_networks([network])
    try:
        write(network, parse_size(told.size), folder)
        label, courses = race(folder, engine, precision, int(threads))
    except OfframpError as error:
        return {"skipped": str(error)}
    laps = interleaved(courses, told.rounds, warm_up=min(10, 1 + told.rounds // 4))
    rows = {}
    for name in dict.fromkeys((*points(network)[:-1], END, WHOLE)):
        if ("split", name) not in laps:
            continue
        split, single = laps["split", name].total, laps["single", name].total
        ratio = Spread.of(split / single)
        low, high = ratio.interval or (None, None)
        rows[name] = {
            "split_ms": Spread.of(split).p50,
            "single_ms": Spread.of(single).p50,
            "ratio": ratio.p50,
            "low": low,
            "high": high,
        }
    return {"engine": label, "precision": precision, "paths": rows}


def _table(found: dict[str, Any]) -> str:
    """Lay the ratios out, a race a row; the last column is the whole network's time."""
    lines = [
        "| network | engine | threads | exit 1 | exit 2 | exit 3 | end | uncut | ms: cut, uncut |",
        "|---" * 9 + "|",
    ]
    over, skipped = 0, []
    for key, race in found.items():
        network, engine, threads = key.split()
        if "skipped" in race:
            skipped.append(f"{key}: {race['skipped']}")
            continue
        paths = race["paths"]
        over += sum(path["ratio"] > GOAL for path in paths.values())
        ratios = [_ratio(path) for path in paths.values()]
        ratios += ["-"] * (5 - len(ratios))
        last = list(paths.values())[-1]
        ratios.append(f"{last['split_ms']:.1f}, {last['single_ms']:.1f}")
        lines.append("| " + " | ".join([network, engine, threads, *ratios]) + " |")
    return "\n".join([*lines, "", f"{over} ratios above {GOAL}", *skipped])


def _ratio(path: dict[str, Any]) -> str:
    bounds = f" ({path['low']:.3f} to {path['high']:.3f})" if path["low"] else ""
    return f"{path['ratio']:.3f}{bounds}"


if __name__ == "__main__":
    main()
