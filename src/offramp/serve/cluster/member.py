"""One replica among several: watches its share of the cameras, and knows of all the others'.

It reports to the coordinator every second, and adds, removes, rests and wakes cameras as it is
told in return. If the coordinator does not answer, everything goes on as it was: a camera that
is watched twice for a while is better than one that nobody watches.
"""

import logging
import os
import threading
from collections.abc import Callable
from typing import Protocol

from offramp.core.errors import BadInput, OfframpError, UnknownName
from offramp.data.images import Array
from offramp.serve.backend import Backend
from offramp.serve.cluster.placed import Placed, nowhere, placed, summed
from offramp.serve.cluster.relay import Relay
from offramp.serve.cluster.table import Orders, Report, Settings, Table
from offramp.video.answer import Answer
from offramp.video.camera import CameraSpec
from offramp.video.counts import Statistics
from offramp.video.events import Subscription

logger = logging.getLogger(__name__)

BEAT_S = 1.0


class Coordinating(Protocol):
    """What replicas ask of their coordinator; `coordinator.Coordinator`, near or far."""

    def beat(self, report: Report) -> Orders:
        """Report, and hear what to do."""

    def leave(self, name: str) -> None:
        """Say goodbye."""

    def add(self, spec: CameraSpec) -> bool:
        """Take a camera in; false if there is one of its name."""

    def remove(self, name: str) -> bool:
        """Take a camera out; false if there is none of this name."""

    def pause(self, name: str, paused: bool) -> bool:
        """Rest a camera, or go on with it; false if there is none of this name."""

    def configure(
        self, cameras: tuple[CameraSpec, ...], settings: Settings
    ) -> dict[str, list[str]]:
        """Take over a configuration that was read again."""

    def end_login(self, cookie: bytes, until: float) -> None:
        """Take a login back."""


class Member:
    """A `Backend` that answers for the cameras of all replicas, and for requests by itself.

    Args:
        name: of this replica.
        url: where it answers for itself alone.
        own: the engine of this replica, with the cameras that it watches.
        coordinator: shares the cameras out.
        key: token by which replicas open each other's events.
        on_table: called with every table that is newer than the one before.
    """

    def __init__(
        self,
        name: str,
        url: str,
        own: Backend,
        coordinator: Coordinating,
        key: str,
        on_table: Callable[[Table], None] = lambda table: None,
    ) -> None:
        self.name = name
        self.url = url
        self._own = own
        self._coordinator = coordinator
        self._relay = Relay(own, key)
        self._on_table = on_table
        self._orders: Orders | None = None
        self._paused: set[str] = set()
        self._beating = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="offramp-beat", daemon=True)

    def start(self) -> None:
        """Begin to compute, to report, and to watch what this replica is told to."""
        self._own.start()
        self.beat()
        self._thread.start()

    def stop(self, grace_s: float = 5.0) -> None:
        """End; the cameras move to other replicas at once."""
        self._ended.set()
        with self._beating:
            try:
                self._coordinator.leave(self.name)
            except OfframpError as error:
                logger.warning("left without a goodbye: %s", error)
        self._relay.close()
        self._own.stop(grace_s)

    @property
    def alive(self) -> bool:
        """Tell whether it still reports."""
        return self._thread.is_alive()

    def beat(self) -> None:
        """Report once, and do what is told in return.

        Raises:
            Unanswered: the coordinator does not answer.
        """
        with self._beating:
            if self._ended.is_set():
                return
            orders = self._coordinator.beat(self._report())
            news = self._orders is None or orders.table.version > self._orders.table.version
            self._orders = orders
            if news:
                self._on_table(orders.table)
            if self._obey(orders):  # the others shall hear of it with their next report
                self._orders = orders = self._coordinator.beat(self._report())
        peers = {k: v.url for k, v in orders.reports.items() if k != self.name}
        self._relay.keep(peers)

    def elsewhere(self, camera: str) -> str | None:
        """Tell the URL of the replica that watches a camera; none if it is this one, or no one."""
        if self._orders is None or camera in self._here():
            return None
        return next(
            (
                report.url
                for name, report in self._orders.reports.items()
                if name != self.name and any(w.spec.name == camera for w in report.watched)
            ),
            None,
        )

    def urls(self) -> dict[str, str]:
        """Tell where each replica answers for itself, this one first."""
        reports = {} if self._orders is None else self._orders.reports
        others = {k: v.url for k, v in sorted(reports.items()) if k != self.name}
        return {self.name: self.url, **others}

    def add(self, spec: CameraSpec) -> None:
        """Have a camera watched by one of the replicas.

        Raises:
            BadInput: there is one of its name.
        """
        if not self._coordinator.add(spec):
            raise BadInput(f"there is a camera '{spec.name}' already")
        self.beat()

    def remove(self, name: str) -> None:
        """Have a camera watched no longer; UnknownName if there is none of this name."""
        self._known(name, self._coordinator.remove(name))

    def pause(self, name: str) -> None:
        """Rest a camera, wherever it is; UnknownName as above."""
        self._known(name, self._coordinator.pause(name, True))

    def resume(self, name: str) -> None:
        """Go on with a camera; UnknownName as above."""
        self._known(name, self._coordinator.pause(name, False))

    def reopen(self, name: str) -> None:
        """Let all exits answer a camera of this replica again; see `latest`."""
        if name not in self._here():
            raise UnknownName("camera", name[:64], self._here())
        self._own.reopen(name)

    def cameras(self) -> tuple[Placed, ...]:
        """Tell of the cameras of all replicas; others' as they were a second ago."""
        if self._orders is None:
            return ()
        told = {
            watched.spec.name: placed(watched, report.name)
            for report in self._orders.reports.values()
            if report.name != self.name
            for watched in report.watched
        }
        told.update((w.spec.name, placed(w, self.name)) for w in self._own.cameras())
        entries = self._orders.table.entries
        return tuple(told.get(name) or nowhere(entry.spec) for name, entry in entries.items())

    def latest(self, name: str) -> Answer | None:
        """Give the last answer to a camera of this replica; none also for one that is on its way.

        Raises:
            UnknownName: there is none of this name here; `elsewhere` tells where it is.
        """
        if name in self._here():
            return self._own.latest(name)
        known = self._orders is not None and name in self._orders.table.entries
        if known and self.elsewhere(name) is None:
            return None
        raise UnknownName("camera", name[:64], self._here())

    def segment(
        self, image: Array, *, deadline_ms: float | None = None, exit: int | None = None
    ) -> Answer:
        """Answer an image here; see `Analytics.segment`."""
        return self._own.segment(image, deadline_ms=deadline_ms, exit=exit)

    def subscribe(self) -> Subscription:
        """Listen to the events of all replicas."""
        return self._relay.subscribe()

    def statistics(self) -> Statistics:
        """Sum up the counters of all replicas; others' as they were a second ago."""
        reports = {} if self._orders is None else self._orders.reports
        others = [report.statistics for name, report in reports.items() if name != self.name]
        return summed([self._own.statistics(), *others])

    def _known(self, name: str, known: bool) -> None:
        if not known:
            raise UnknownName(
                "camera", name[:64], [watched.spec.name for watched in self.cameras()]
            )
        self.beat()

    def _here(self) -> list[str]:
        return [watched.spec.name for watched in self._own.cameras()]

    def _report(self) -> Report:
        table = None if self._orders is None else self._orders.table
        watched, counted = tuple(self._own.cameras()), self._own.statistics()
        return Report(self.name, self.url, os.getpid(), watched, counted, table)

    def _obey(self, orders: Orders) -> bool:
        """Watch what shall be watched here, and nothing else; tells whether anything changed."""
        before = self._here()
        wanted = {name: orders.table.entries[name].spec for name in orders.mine}
        for watched in self._own.cameras():
            name = watched.spec.name
            if wanted.get(name) == watched.spec:
                del wanted[name]
            else:
                self._own.remove(name)
                self._paused.discard(name)
        for name, spec in wanted.items():
            try:
                self._own.add(spec)
            except OfframpError as error:  # one faulty camera must not keep the others away
                logger.error("camera '%s' cannot be watched: %s", name, error)
        for name in self._here():
            self._rest(name, name in orders.mine and orders.table.entries[name].paused)
        return self._here() != before

    def _rest(self, name: str, paused: bool) -> None:
        if paused and name not in self._paused:
            self._own.pause(name)
            self._paused.add(name)
        elif not paused and name in self._paused:
            self._own.resume(name)
            self._paused.discard(name)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            try:
                self.beat()
            except OfframpError as error:
                logger.warning("the coordinator does not answer; all goes on as it was: %s", error)
