"""Record a run: its trace and its cost table, side by side in its folder."""

from offramp.core.costs import Costs
from offramp.core.files import write_text
from offramp.core.progress import Track, silent
from offramp.evaluation import record
from offramp.metrics.trace import Trace
from offramp.profiling.latency import measure
from offramp.training.run import Run


def record_run(
    run: Run, split: str = "calib", *, threads: int | None = None, track: Track = silent
) -> tuple[Trace, Costs]:
    """Read every head on every image of `split`, measure every piece, and write both down.

    Args:
        run: a trained run.
        split: which images; thresholds are fitted on them.
        threads: threads of the engine; absent: all cores that the process may use.
        track: shows progress.
    """
    network = run.load_network()
    data = run.dataset
    trace = record(network, data, split, track)
    height, width, _ = data.read(data.samples(split)[0])[0].shape
    costs = measure(network, (height, width), threads=threads, track=track)
    trace.save(run.trace_file)
    write_text(run.costs_file, costs.model_dump_json(indent=2) + "\n")
    return trace, costs
