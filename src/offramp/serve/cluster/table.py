"""What replicas and their coordinator tell each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from offramp.serve.tokens import Tokens
from offramp.video.camera import CameraSpec
from offramp.video.counts import Statistics
from offramp.video.feed import Watched


@dataclass(frozen=True)
class Entry:
    """A camera that shall be watched by one of the replicas.

    Attributes:
        spec: which.
        configured: it stands in the configuration; otherwise it was added over HTTP.
        paused: it shall rest.
    """

    spec: CameraSpec
    configured: bool
    paused: bool = False


@dataclass(frozen=True)
class Settings:
    """What a reload can change, beside cameras.

    Attributes:
        tokens: who may ask; hashes only.
        allow: networks and hosts where cameras may be that are added over HTTP.
        ports: of such cameras.
    """

    tokens: Tokens
    allow: tuple[str, ...] = ()
    ports: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Table:
    """What all replicas shall know; the one with the highest version counts.

    Attributes:
        version: grows with each change.
        entries: cameras by name, in the order in which they came.
        settings: what a reload can change.
        ended: logins that were ended, with the time at which they would have ended by themselves.
        closing: everything shall end.
    """

    version: int
    entries: Mapping[str, Entry]
    settings: Settings
    ended: Mapping[bytes, float] = field(default_factory=dict)
    closing: bool = False


@dataclass(frozen=True)
class Report:
    """What a replica tells of itself, every second.

    Attributes:
        name: the replica's.
        url: where it answers for itself alone.
        process: number of its process, for whoever looks at the machine.
        watched: cameras that it watches.
        statistics: its counters.
        table: the newest table that it has seen; none at first.
    """

    name: str
    url: str
    process: int
    watched: tuple[Watched, ...]
    statistics: Statistics
    table: Table | None = None


@dataclass(frozen=True)
class Orders:
    """What a replica is told in return.

    Attributes:
        table: the newest.
        mine: cameras to watch now: those of its own that no other replica still watches.
        reports: the last report of every replica that lives, by name.
    """

    table: Table
    mine: tuple[str, ...]
    reports: Mapping[str, Report]
