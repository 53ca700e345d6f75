"""What a server needs of `video.analytics.Analytics`; anything that offers it can be served."""

from typing import Any, Protocol

from offramp.data.images import Array
from offramp.video.answer import Answer
from offramp.video.camera import CameraSpec
from offramp.video.counts import Statistics
from offramp.video.events import Subscription


class Backend(Protocol):
    """Watches cameras and answers requests; every method may be called from any thread."""

    def start(self) -> None:
        """Begin to work."""

    def stop(self, grace_s: float = 5.0) -> None:
        """End, and wake whoever waits."""

    def add(self, spec: CameraSpec) -> None:
        """Watch a camera."""

    def remove(self, name: str) -> None:
        """Watch a camera no longer; UnknownName if there is none of this name."""

    def pause(self, name: str) -> None:
        """Rest a camera; UnknownName as above."""

    def resume(self, name: str) -> None:
        """Go on with it; UnknownName as above."""

    def reopen(self, name: str) -> None:
        """Let all exits answer it again that a monitor has closed; UnknownName as above."""

    def cameras(self) -> tuple[Any, ...]:
        """Tell of every camera: records with `spec`, `status`, `counts` and more."""

    def latest(self, name: str) -> Answer | None:
        """Give a camera's last answer; UnknownName as above."""

    def segment(
        self, image: Array, *, deadline_ms: float | None = None, exit: int | None = None
    ) -> Answer:
        """Answer an image; Overloaded or TooLate where there is no time."""

    def subscribe(self) -> Subscription:
        """Listen to events."""

    def statistics(self) -> Statistics:
        """Count everything."""
