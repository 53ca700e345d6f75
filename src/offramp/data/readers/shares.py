"""Take `calib`, and where they are missing `val` and `test`, out of public training images.

Thresholds may not be fitted on `val` or `test`, and hardly any public set has a third split.
What is taken depends on names alone: the same set gives the same splits on every machine.

Images of one group (city, sequence) stay together: groups come in the order of the SHA-256 of
their names, and each is taken that still fits in the share; where none fits, the smallest is.
A set that is one single group gives its last images. Images without groups are groups of one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from offramp.core.errors import BadInput
from offramp.data.sample import Sample

USUAL = 0.1
"""Share of `val` and `test` in a set that has none."""


@dataclass(frozen=True)
class Shares:
    """Shares of the public training images; None: what the set needs."""

    calib: float = USUAL
    val: float | None = None
    test: float | None = None


def divide(
    public: Mapping[str, list[Sample]], shares: Shares, where: str
) -> dict[str, list[Sample]]:
    """Add the splits that a public set lacks.

    Args:
        public: images by public split.
        shares: how much of `train` goes where. Where `val` is told and the set has a `val` but
            no `test`, its `val` becomes `test`.
        where: the set, for messages.

    Raises:
        BadInput: a share is asked for of a split that the set has itself.
    """
    splits = dict(public)
    pool = sorted(splits.get("train", []), key=lambda sample: sample.name)
    one_pool = set(splits) <= {"train"}
    if shares.val and "val" in splits:
        if "test" in splits:
            raise BadInput(f"{where} has a val and a test split of its own", got="val_share")
        splits["test"] = splits.pop("val")
    if shares.test and "test" in splits:
        raise BadInput(f"{where} has a test split already", got="test_share")
    wanted = {
        "test": 0.0 if "test" in splits else _told(shares.test, USUAL if one_pool else 0.0),
        "calib": 0.0 if "calib" in splits else shares.calib,
        "val": 0.0 if "val" in splits else _told(shares.val, USUAL),
    }
    total = len(pool)
    for split, share in wanted.items():
        if share and pool:
            taken, pool = take(pool, max(1, round(share * total)))
            if taken:
                splits[split] = taken
    if "train" in splits:
        splits["train"] = pool
    return splits


def take(samples: list[Sample], count: int) -> tuple[list[Sample], list[Sample]]:
    """Take about `count` of `samples` by group; returns those taken and the rest, in order."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.group or sample.name, []).append(sample)
    if len(samples) <= count:
        return [], samples
    if len(groups) == 1:
        return samples[-count:], samples[:-count]
    order = sorted(groups, key=lambda name: sha256(name.encode()).digest())
    chosen: set[str] = set()
    left = count
    for name in order:
        if len(groups[name]) <= left:
            chosen.add(name)
            left -= len(groups[name])
        if not left:
            break
    if not chosen:
        chosen = {min(order, key=lambda name: len(groups[name]))}
    inside = [s for s in samples if (s.group or s.name) in chosen]
    return inside, [s for s in samples if (s.group or s.name) not in chosen]


def _told(share: float | None, usual: float) -> float:
    return usual if share is None else share
