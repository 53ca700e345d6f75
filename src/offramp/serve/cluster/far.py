"""The coordinator from afar: an actor of Ray, asked from whatever process."""

from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from offramp.core.errors import OfframpError
from offramp.serve.cluster.table import Orders, Report, Settings
from offramp.video.answer import Unanswered
from offramp.video.camera import CameraSpec

ANSWER_S = 3.0
"""The coordinator answers within a few milliseconds, or it is gone."""


class Far:
    """The coordinator as replicas see it: an actor, at whatever machine.

    Args:
        actor: Ray's handle.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def beat(self, report: Report) -> Orders:
        """Report, and hear what to do."""
        orders: Orders = self._ask("beat", report)
        return orders

    def leave(self, name: str) -> None:
        """Say goodbye."""
        self._ask("leave", name)

    def add(self, spec: CameraSpec) -> bool:
        """Take a camera in; false if there is one of its name."""
        return bool(self._ask("add", spec))

    def remove(self, name: str) -> bool:
        """Take a camera out; false if there is none of this name."""
        return bool(self._ask("remove", name))

    def pause(self, name: str, paused: bool) -> bool:
        """Rest a camera, or go on with it; false if there is none of this name."""
        return bool(self._ask("pause", name, paused))

    def configure(
        self, cameras: tuple[CameraSpec, ...], settings: Settings
    ) -> dict[str, list[str]]:
        """Take over a configuration that was read again."""
        told: dict[str, list[str]] = self._ask("configure", cameras, settings)
        return told

    def end_login(self, cookie: bytes, until: float) -> None:
        """Take a login back."""
        self._ask("end_login", cookie, until)

    def close(self) -> None:
        """Let all streams end."""
        self._ask("close")

    def replicas(self) -> dict[str, Report]:
        """Tell the last report of every replica that lives."""
        reports: dict[str, Report] = self._ask("replicas")
        return reports

    def _ask(self, method: str, *given: object) -> Any:
        try:
            return ray.get(getattr(self._actor, method).remote(*given), timeout=ANSWER_S)
        except RayTaskError as error:
            if isinstance(error.cause, OfframpError):
                raise error.cause from None
            raise Unanswered(f"the coordinator failed: {type(error.cause).__name__}") from None
        except RayError as error:
            raise Unanswered(f"the coordinator does not answer ({type(error).__name__})") from None
