"""What is served: one bundle, its cameras, who may ask, and how much at a time."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput
from offramp.core.model import ModelSpec
from offramp.data.colour import voc_colour
from offramp.serve.access import Access
from offramp.serve.backend import Backend
from offramp.serve.configuration import Configuration
from offramp.serve.slots import Slots
from offramp.serve.tokens import Tokens, read_tokens
from offramp.video.camera import CameraSpec
from offramp.video.events import Subscription

logger = logging.getLogger(__name__)

T = TypeVar("T")

RELOADED = ("cameras", "tokens", "allow", "ports")
"""Keys of a configuration whose change is taken over by a reload; others need a new start."""


class Service:
    """Everything that the endpoints share.

    Args:
        configuration: what the operator wants.
        model: class names, colours and size.
        points: the exits' positions.
        backend: watches cameras and answers.
        tokens: who may ask.
        reread: reads the configuration again.

    Attributes:
        closing: set when streams shall end.
        ready: whether requests are answered.
    """

    def __init__(
        self,
        configuration: Configuration,
        model: ModelSpec,
        points: tuple[str, ...],
        backend: Backend,
        tokens: Tokens,
        reread: Callable[[], Configuration] | None = None,
    ) -> None:
        self.configuration = configuration
        self.model = model
        self.points = points
        self.backend = backend
        self.access = Access(tokens)
        limits = configuration.limits
        self.max_bytes = int(limits.body_mb * 1e6)
        self.max_pixels = int(limits.pixels_mp * 1e6)
        self.images = Slots(limits.concurrent, "images being answered")
        self.streams = Slots(limits.streams, "streams")
        self.palette = model.palette or tuple(voc_colour(k) for k in range(model.classes))
        self.closing = asyncio.Event()
        self.ready = False
        self._reread = reread
        self._lock = threading.Lock()
        self._configured: dict[str, CameraSpec] = {}
        self._subscriptions: set[Subscription] = set()
        self._workers = ThreadPoolExecutor(limits.concurrent + 4, "offramp-request")
        self._listeners = ThreadPoolExecutor(max(1, limits.streams), "offramp-stream")

    def start(self) -> None:
        """Begin to answer, and to watch the cameras of the configuration."""
        self.backend.start()
        self._configured = {}
        for spec in self.configuration.cameras:
            self.backend.add(spec)
            self._configured[spec.name] = spec
        self.ready = True

    def close_streams(self) -> None:
        """Let all streams end."""
        self.ready = False
        self.closing.set()
        for subscription in tuple(self._subscriptions):
            subscription.close()

    def stop(self) -> None:
        """End: streams, cameras, threads."""
        self.close_streams()
        self.backend.stop()
        self._workers.shutdown(wait=True, cancel_futures=True)
        self._listeners.shutdown(wait=True, cancel_futures=True)

    async def work(self, function: Callable[[], T]) -> T:
        """Run what computes or waits in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, function)

    async def listen(self, function: Callable[[], T]) -> T:
        """Run what waits for an event in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._listeners, function)

    def subscribe(self) -> Subscription:
        """Listen to events, until `close_streams` at the latest."""
        subscription = self.backend.subscribe()
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Listen no longer."""
        self._subscriptions.discard(subscription)
        subscription.close()

    def add(self, spec: CameraSpec) -> None:
        """Watch one more camera.

        Raises:
            BadInput: there is one of this name.
        """
        with self._lock:
            self.backend.add(spec)

    def remove(self, name: str) -> None:
        """Watch a camera no longer; a reload brings it back if it is configured.

        Raises:
            UnknownName: there is none of this name.
        """
        with self._lock:
            self.backend.remove(name)
            self._configured.pop(name, None)

    def reload(self) -> dict[str, list[str]]:
        """Read the configuration again: cameras, tokens, and where cameras may be.

        Cameras that were added over HTTP stay.

        Returns:
            the names of cameras under "added", "changed" and "removed".

        Raises:
            BadInput: the configuration is faulty, or something else changed; nothing was done.
        """
        if self._reread is None:
            raise BadInput("there is no configuration to be read again")
        with self._lock:
            new = self._reread()
            self._check_fixed(new)
            tokens = read_tokens(new.tokens)
            if bool(tokens) != bool(self.access.tokens):
                raise BadInput("whether there are tokens at all changed", repair="start anew")
            told = self._take_over(new.cameras)
            self.configuration = new
            self.access.tokens = tokens
        logger.info("reloaded: %s", told)
        return told

    def _take_over(self, cameras: tuple[CameraSpec, ...]) -> dict[str, list[str]]:
        """Watch these in place of those that were configured; tells what changed."""
        wanted = {spec.name: spec for spec in cameras}
        old = dict(self._configured)
        foreign = {watched.spec.name for watched in self.backend.cameras()} - set(old)
        taken = sorted(set(wanted) & foreign)
        if taken:
            raise BadInput(f"camera '{taken[0]}' was added over HTTP", repair="remove it first")
        told = {
            "added": sorted(wanted.keys() - old.keys()),
            "changed": sorted(n for n in wanted.keys() & old.keys() if wanted[n] != old[n]),
            "removed": sorted(old.keys() - wanted.keys()),
        }
        for name in told["removed"] + told["changed"]:
            self.backend.remove(name)
            del self._configured[name]
        for name in told["changed"] + told["added"]:
            self.backend.add(wanted[name])
            self._configured[name] = wanted[name]
        return told

    def _check_fixed(self, new: Configuration) -> None:
        for key in Configuration.model_fields:
            if key not in RELOADED and getattr(new, key) != getattr(self.configuration, key):
                raise BadInput(
                    f"'{key}' changed; a reload cannot take it over", repair="start anew"
                )


def open_service(
    configuration: Configuration, reread: Callable[[], Configuration] | None = None
) -> Service:
    """Open the bundle and load its engine.

    Raises:
        BundleError: the bundle is not genuine or cannot be loaded.
        BadInput: the tokens are not usable, or the server would be open to the network.
        MissingExtra: a library is not installed.
    """
    from offramp.video.analytics import Analytics
    from offramp.video.monitor import ShadowMonitor
    from offramp.video.told import of_drift

    tokens = read_tokens(configuration.tokens)
    configuration.check_exposure(len(tokens))
    bundle = Bundle.open(configuration.bundle)
    monitor = None
    if configuration.shadow:
        plan = bundle.manifest.plan
        limit, folder = configuration.max_disagreement, configuration.keep_frames
        monitor = ShadowMonitor(len(plan.exits), limit, folder=folder)
    backend = Analytics(
        bundle,
        configuration.engine,
        workers=configuration.workers,
        skip_same=configuration.skip_same,
        shadow=configuration.shadow,
        monitor=monitor,
    )
    if monitor is not None:
        monitor.on_alarm = lambda alarm: backend.publish(of_drift(alarm))
    return Service(configuration, bundle.manifest.model, backend.points, backend, tokens, reread)
