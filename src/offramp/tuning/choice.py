"""Which candidate a study ends with: the fastest that is accurate enough and within the latency."""

from collections.abc import Sequence

from offramp.tuning.candidate import Candidate, Chosen, Latency, Study


def ranked(study: Study, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Order the candidates that may be chosen, the best first.

    Those within both bounds come first, the fastest of them ahead; the others by how far they
    miss the bounds. Lower resolutions with the baseline's weights are a warning, and no choice.
    """
    able = [c for c in candidates if c.finished and c.stage != "resolution-untrained"]
    return sorted(able, key=lambda c: (_gap(study, c), _ms(c), -(c.iou or 0.0)))


def missing(study: Study, latency: Latency, iou: float) -> str:
    """Say in words which bounds are missed; empty where none is."""
    said = []
    if not latency.median_ms <= study.max_latency_ms:
        said.append(f"{latency.median_ms:.2f} ms, not {study.max_latency_ms:g} ms or less")
    if not iou >= study.min_iou:
        said.append(f"{study.metric} {iou:.4f}, not {study.min_iou:g} or more")
    return "; ".join(said)


def provisional(study: Study, candidates: Sequence[Candidate]) -> Chosen | None:
    """Choose among what is known by now, without measuring again; none before a first training."""
    order = ranked(study, candidates)
    if not order:
        return None
    best, baseline = order[0], candidates[0]
    if study.chosen is not None and study.chosen.bundle and study.chosen.id == best.id:
        return study.chosen
    if best.latency is None or baseline.latency is None or best.iou is None:
        return None
    misses = missing(study, best.latency, best.iou)
    return Chosen(
        id=best.id,
        fits=not misses,
        missing=misses,
        latency=best.latency,
        baseline_latency=baseline.latency,
        iou=best.iou,
    )


def _gap(study: Study, candidate: Candidate) -> float:
    """Add up by what share a candidate misses each bound; 0 within both."""
    late = max(_ms(candidate) / study.max_latency_ms - 1, 0.0)
    return late + max(study.min_iou - (candidate.iou or 0.0), 0.0) / max(study.min_iou, 1e-9)


def _ms(candidate: Candidate) -> float:
    return candidate.latency.median_ms if candidate.latency else float("inf")
