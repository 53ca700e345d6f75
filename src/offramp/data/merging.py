"""Merge the classes of a layout: from its labels and names to those of the data set."""

from collections.abc import Mapping
from dataclasses import dataclass

from offramp.core.errors import BadInput, UnknownName

IGNORE_NAME = "ignore"
REST = "*"


@dataclass(frozen=True)
class Merged:
    """Classes after merging.

    Attributes:
        names: name by index, without gaps.
        table: what each label becomes; a label that is not in it stays.
        origin: for each index, the first label that becomes it.
    """

    names: dict[int, str]
    table: dict[int, int]
    origin: dict[int, int]


def merge(
    where: str,
    names: tuple[str, ...],
    remap: Mapping[int | str, int | str],
    new: Mapping[int, str] | None,
    ignore: int,
) -> Merged:
    """Work out which class each label becomes.

    Without `new`, a class that is merged into another, or ignored, drops out, and the others
    close up in their order. With `new`, `remap` leads from the old classes to the new ones; a
    class that `remap` does not name keeps its name, which must be among the new.

    Args:
        where: the file, for messages.
        names: classes of the layout, by label.
        remap: from label or name to label or name; `ignore` is the label that counts nowhere,
            and `*` stands for all classes that are neither named nor the target of another.
        new: classes after merging.
        ignore: the label that counts nowhere.

    Raises:
        UnknownName: there is no such class.
        BadInput: a class has no place among the new ones, or is merged into one that is itself
            merged away.
    """
    if new is not None and not remap:
        return _renamed(where, names, new)
    told = {_source(where, key, names): to for key, to in remap.items()}
    targets = names if new is None else tuple(new[index] for index in sorted(new))
    goals = {
        label: _target(where, to, targets, ignore)
        for label, to in told.items()
        if isinstance(label, int)
    }
    rest = _target(where, told[REST], targets, ignore) if REST in told else None
    stay = {*goals.values(), rest} if new is None else set()
    homeless = []
    for label, name in enumerate(names):
        if label in goals:
            continue
        if label in stay or (new is None and rest is None):
            goals[label] = label
        elif new is not None and name in targets:
            goals[label] = targets.index(name)
        elif rest is not None:
            goals[label] = rest
        else:
            homeless.append(name)
    if homeless:
        raise BadInput(
            f"{where}: classes have no place among the new names",
            expected=f"a line in 'remap' for each, or '{REST}: {IGNORE_NAME}' for all",
            got=", ".join(homeless[:20]) + (" …" if len(homeless) > 20 else ""),
        )
    if new is None:
        return _closed_up(where, names, goals, ignore)
    return Merged(dict(new), goals, _origins(goals, len(names), ignore))


def _closed_up(where: str, names: tuple[str, ...], goals: dict[int, int], ignore: int) -> Merged:
    """Leave out the classes that nothing becomes, and number the others anew."""
    kept = [label for label in range(len(names)) if goals[label] == label]
    places = {label: index for index, label in enumerate(kept)} | {ignore: ignore}
    for label, goal in goals.items():
        if goal not in places:
            raise BadInput(
                f"{where}: remap merges {label} into '{names[goal]}', which is merged away itself",
                repair="merge both into the class that is to stay",
            )
    if not kept:
        raise BadInput(f"{where}: remap leaves no class")
    table = {label: places[goal] for label, goal in goals.items()}
    return Merged(
        {index: names[label] for index, label in enumerate(kept)}, table, dict(enumerate(kept))
    )


def _renamed(where: str, names: tuple[str, ...], new: Mapping[int, str]) -> Merged:
    if len(new) != len(names):
        raise BadInput(
            f"{where}: 'names' without 'remap' renames all classes",
            expected=f"{len(names)} names",
            got=str(len(new)),
            repair="say by 'remap' which class becomes which",
        )
    return Merged(dict(new), {}, {index: index for index in new})


def _origins(goals: dict[int, int], labels: int, ignore: int) -> dict[int, int]:
    """Find the first label of the layout that becomes each class."""
    origin: dict[int, int] = {}
    for label in sorted(goals):
        if label < labels and goals[label] != ignore:
            origin.setdefault(goals[label], label)
    return origin


def _source(where: str, key: int | str, names: tuple[str, ...]) -> int | str:
    """Find the label that a key of `remap` means; `*` stays."""
    if key == REST or isinstance(key, int):
        return key
    return _index(where, key, names)


def _target(where: str, value: int | str, names: tuple[str, ...], ignore: int) -> int:
    if value == IGNORE_NAME and IGNORE_NAME not in names:
        return ignore
    index = value if isinstance(value, int) else _index(where, value, names)
    if index != ignore and index >= len(names):
        raise BadInput(
            f"{where}: remap leads to class {index}",
            expected=f"0 to {len(names) - 1}, a name, or '{IGNORE_NAME}'",
        )
    return index


def _index(where: str, name: str, names: tuple[str, ...]) -> int:
    if name not in names:
        raise UnknownName(f"class in remap of {where}", name, names)
    return names.index(name)


def by_name(
    where: str, remap: Mapping[int, int | str], names: Mapping[int, str], ignore: int
) -> dict[int, int]:
    """Turn the names in a `remap` of our own folders into indices; numbers stay as they are.

    Raises:
        UnknownName: there is no such class.
    """
    classes = tuple(names[index] for index in sorted(names))
    return {
        source: goal if isinstance(goal, int) else _target(where, goal, classes, ignore)
        for source, goal in remap.items()
    }
