"""Replicas without engines: what they watch is a list, and nothing is computed."""

import numpy as np

from offramp.core.errors import BadInput, UnknownName
from offramp.data.images import Array
from offramp.serve.cluster.coordinator import Coordinator
from offramp.serve.cluster.member import Member
from offramp.serve.cluster.placed import nowhere
from offramp.serve.cluster.table import Settings
from offramp.serve.tokens import Tokens
from offramp.video.answer import Answer
from offramp.video.camera import CameraSpec
from offramp.video.counts import Ledger, Statistics
from offramp.video.events import Board, Subscription
from offramp.video.feed import Watched


def camera(name: str, fps: int = 5) -> CameraSpec:
    return CameraSpec.model_validate({"name": name, "address": f"synthetic:96x64@{fps}"})


class Own:
    """A backend that keeps account of what it is told."""

    def __init__(self) -> None:
        self.specs: dict[str, CameraSpec] = {}
        self.paused: set[str] = set()
        self.reopened: list[str] = []
        self.running = False
        self.board = Board()
        self.requests = Ledger(2)

    def start(self) -> None:
        self.running = True

    def stop(self, grace_s: float = 5.0) -> None:
        self.running = False
        self.board.close()

    def add(self, spec: CameraSpec) -> None:
        if spec.name in self.specs:
            raise BadInput("there is one")
        self.specs[spec.name] = spec

    def remove(self, name: str) -> None:
        del self.specs[name]
        self.paused.discard(name)

    def pause(self, name: str) -> None:
        assert name not in self.paused
        self.paused.add(name)

    def resume(self, name: str) -> None:
        self.paused.remove(name)

    def reopen(self, name: str) -> None:
        self.reopened.append(name)

    def cameras(self) -> tuple[Watched, ...]:
        return tuple(nowhere(spec) for spec in self.specs.values())

    def latest(self, name: str) -> Answer | None:
        if name not in self.specs:
            raise UnknownName("camera", name, self.specs)
        image = np.zeros((4, 6, 3), np.uint8)
        return Answer(name, 1, image, image[..., 0], 0, "stem", ((0.5,),), 0.0, 1.0)

    def segment(
        self, image: Array, *, deadline_ms: float | None = None, exit: int | None = None
    ) -> Answer:
        raise NotImplementedError

    def subscribe(self) -> Subscription:
        return self.board.subscribe()

    def statistics(self) -> Statistics:
        return Statistics(
            engine="none",
            points=("stem", "end"),
            cameras={name: Ledger(2).counts() for name in self.specs},
            requests=self.requests.counts(),
            level=0,
            level_name="full",
            levels=3,
            workers=2,
            busy_s=1.5,
            utilisation=0.25,
            queued=1,
            begun=1,
            uptime_s=10.0,
        )


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Troop:
    """A coordinator and members that report when `tick` is called, and not by themselves."""

    def __init__(self, *cameras: CameraSpec) -> None:
        self.clock = Clock()
        self.settings = Settings(Tokens())
        self.coordinator = Coordinator(cameras, self.settings, self.clock, self.clock)
        self.members: dict[str, Member] = {}
        self.owns: dict[str, Own] = {}

    def join(self, name: str) -> Member:
        self.owns[name] = Own()
        self.members[name] = Member(
            name, f"http://127.0.0.1:{len(self.members) + 1}", self.owns[name], self, "key"
        )
        return self.members[name]

    def tick(self, *silent: str, seconds: float = 1.0) -> None:
        """Let time pass, then let all report but these."""
        self.clock.now += seconds
        for name, member in self.members.items():
            if name not in silent:
                member.beat()

    def watched(self) -> dict[str, set[str]]:
        return {name: set(own.specs) for name, own in self.owns.items()}

    def __getattr__(self, name: str) -> object:
        """Reach the coordinator that there is at the moment: it may be started anew."""
        return getattr(self.coordinator, name)
