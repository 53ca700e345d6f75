"""The coordinator: the list of cameras, which replicas live, and who watches what.

It asks nobody: replicas report every second, and what they are told in return is all that it
does. A replica that was not heard for some seconds is held for dead. All that the coordinator
knows is in the replicas' reports too, so one that is started anew knows it again after a second.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from offramp.core.errors import BadInput
from offramp.serve.cluster.assignment import assign
from offramp.serve.cluster.table import Entry, Orders, Report, Settings, Table
from offramp.video.camera import CameraSpec

logger = logging.getLogger(__name__)

SILENT_S = 5.0
"""A replica that was not heard for so long is held for dead; it reports every second."""

SETTLING_S = 2.5
"""A coordinator that was started anew hears all replicas in this time before it moves anything."""


class Coordinator:
    """Shares cameras out among replicas; one caller at a time.

    Args:
        cameras: those of the configuration.
        settings: who may ask, and where cameras may be.
        clock: seconds that only go forward.
        wall: seconds since 1970, which all machines agree about.
    """

    def __init__(
        self,
        cameras: Collection[CameraSpec],
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        entries = {spec.name: Entry(spec, configured=True) for spec in cameras}
        self._table = Table(1, entries, settings)
        self._clock = clock
        self._wall = wall
        self._reports: dict[str, Report] = {}
        self._heard: dict[str, float] = {}
        self._owners: dict[str, str] = {}
        self._settled = clock()

    def beat(self, report: Report) -> Orders:
        """Hear a replica, and tell it what it has to know."""
        if report.table is not None and not self._reports:  # this one was started anew
            self._settled = self._clock() + SETTLING_S
        if report.table is not None and report.table.version > self._table.version:
            self._table = report.table
        if report.name not in self._reports:
            logger.info("replica %s joins: %s, process %d", report.name, report.url, report.process)
        self._reports[report.name] = report
        self._heard[report.name] = self._clock()
        self._bury()
        self._share_out()
        return self._orders(report.name)

    def leave(self, name: str) -> None:
        """Let a replica go that has stopped to watch; its cameras move at once."""
        self._forget(name)
        self._share_out()

    def add(self, spec: CameraSpec) -> bool:
        """Take a camera in; false if there is one of its name."""
        if spec.name in self._table.entries:
            return False
        self._write(entries={**self._table.entries, spec.name: Entry(spec, configured=False)})
        return True

    def remove(self, name: str) -> bool:
        """Take a camera out; false if there is none of this name."""
        if name not in self._table.entries:
            return False
        self._write(entries={k: v for k, v in self._table.entries.items() if k != name})
        return True

    def pause(self, name: str, paused: bool) -> bool:
        """Rest a camera, or go on with it; false if there is none of this name."""
        entry = self._table.entries.get(name)
        if entry is None:
            return False
        self._write(entries={**self._table.entries, name: replace(entry, paused=paused)})
        return True

    def configure(
        self, cameras: Collection[CameraSpec], settings: Settings
    ) -> dict[str, list[str]]:
        """Take over a configuration that was read again; cameras added over HTTP stay.

        Returns:
            the names of cameras under "added", "changed" and "removed".

        Raises:
            BadInput: a camera over HTTP has the name of one of these; nothing was done.
        """
        wanted = {spec.name: spec for spec in cameras}
        old = {k: v.spec for k, v in self._table.entries.items() if v.configured}
        taken = sorted((wanted.keys() & self._table.entries.keys()) - old.keys())
        if taken:
            raise BadInput(f"camera '{taken[0]}' was added over HTTP; remove it first")
        told = {
            "added": sorted(wanted.keys() - old.keys()),
            "changed": sorted(n for n in wanted.keys() & old.keys() if wanted[n] != old[n]),
            "removed": sorted(old.keys() - wanted.keys()),
        }
        entries = {k: v for k, v in self._table.entries.items() if k in wanted or not v.configured}
        fresh = told["added"] + told["changed"]
        entries.update({name: Entry(wanted[name], configured=True) for name in fresh})
        self._write(entries=entries, settings=settings, closing=False)
        return told

    def end_login(self, cookie: bytes, until: float) -> None:
        """Take a login back, by its cookie's hash; it would have ended `until` by itself."""
        ended = {k: v for k, v in self._table.ended.items() if v > self._wall()}
        self._write(ended={**ended, cookie: until})

    def close(self) -> None:
        """Let all streams end: everything is about to."""
        self._write(closing=True)

    def replicas(self) -> dict[str, Report]:
        """Tell the last report of every replica that lives."""
        self._bury()
        return dict(self._reports)

    def _write(self, **changed: object) -> None:
        self._table = replace(self._table, version=self._table.version + 1, **changed)  # type: ignore[arg-type]
        self._share_out()

    def _bury(self) -> None:
        now = self._clock()
        for name in [name for name, heard in self._heard.items() if now - heard > SILENT_S]:
            logger.warning("replica %s was not heard for %g s: its cameras move", name, SILENT_S)
            self._forget(name)

    def _forget(self, name: str) -> None:
        self._reports.pop(name, None)
        self._heard.pop(name, None)

    def _share_out(self) -> None:
        watching = _watching(self._reports)
        if self._clock() < self._settled:
            self._owners = {k: v for k, v in watching.items() if k in self._table.entries}
            return
        before = {**watching, **self._owners}
        self._owners = assign(self._table.entries, self._reports, before)

    def _orders(self, name: str) -> Orders:
        """Tell one replica; a camera that another still watches it gets when that has let go."""
        others = {k: v for k, v in self._reports.items() if k != name}
        busy = _watching(others)
        own = [camera for camera, owner in self._owners.items() if owner == name]
        mine = tuple(camera for camera in own if camera not in busy)
        return Orders(self._table, mine, dict(self._reports))


def _watching(reports: Mapping[str, Report]) -> dict[str, str]:
    """Tell which replica says that it watches a camera."""
    return {w.spec.name: name for name, report in reports.items() for w in report.watched}
