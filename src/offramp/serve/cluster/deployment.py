"""The replicas as a deployment of Ray Serve, their coordinator as an actor, and a command's life.

Ray Serve starts replicas, starts them anew when they die, and hands each request to one of the
two least busy of them that it looks at. The coordinator is an actor with a name, so it outlives
replicas, and Ray starts it anew where it dies.
"""

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import ray
from ray import serve
from ray.exceptions import RayError, RayTaskError

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput, OfframpError
from offramp.runtime.machine import usable_cores
from offramp.serve.cluster.coordinator import Coordinator
from offramp.serve.cluster.replica import Replica, Seed, open_replica
from offramp.serve.cluster.table import Orders, Report, Settings
from offramp.serve.configuration import LOOPBACK, Configuration
from offramp.serve.tokens import Tokens, read_tokens
from offramp.video.answer import Unanswered
from offramp.video.camera import CameraSpec

logger = logging.getLogger(__name__)

NAMESPACE = "offramp"
ANSWER_S = 3.0
"""The coordinator answers within a few milliseconds, or it is gone."""
GRACE_S = 10.0
STORE_BYTES = 80_000_000
"""Of Ray's object store, where Ray is started here: nothing large goes through it."""
RELOADED = ("cameras", "tokens", "allow", "ports")


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


class Cluster:
    """Replicas of one bundle, from `start` to `stop`.

    Args:
        read: reads the configuration.
        replicas: how many.

    Raises:
        BadInput: the configuration cannot be used with replicas, or the server would be open to
            the network.
        BundleError: the bundle is not genuine.
    """

    def __init__(self, read: Callable[[], Configuration], replicas: int) -> None:
        self._read = read
        self._replicas = replicas
        self._configuration = read()
        self._tokens = read_tokens(self._configuration.tokens)
        self._configuration.check_exposure(len(self._tokens))
        self.name = f"offramp-{self._configuration.model}"
        self._borrowed = "RAY_ADDRESS" in os.environ
        self._coordinator: Far | None = None
        self._port = self._configuration.port
        Bundle.open(self._configuration.bundle)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Where it listens."""
        host = self._configuration.host
        scheme = "https" if self._configuration.certificate else "http"
        return (
            f"{scheme}://[{host}]:{self._port}"
            if ":" in host
            else f"{scheme}://{host}:{self._port}"
        )

    @property
    def coordinator(self) -> Far:
        """What shares the cameras out.

        Raises:
            Unanswered: nothing was started.
        """
        if self._coordinator is None:
            raise Unanswered("nothing was started")
        return self._coordinator

    def start(self) -> None:
        """Start Ray, or join the cluster at RAY_ADDRESS; then the replicas, and wait for them.

        Raises:
            BadInput: the cluster has several machines, and the server listens to one alone.
        """
        workers = self._start_ray()
        configuration = self._configuration
        self._start_proxy()
        settings = _settings(configuration, self._tokens)
        actor = ray.remote(Coordinator).options(
            name=self.name,
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            max_restarts=-1,
            num_cpus=0,
        )
        self._coordinator = Far(actor.remote(configuration.cameras, settings))
        self._coordinator.configure(configuration.cameras, settings)
        own = configuration.model_copy(
            update={
                **{"bundle": configuration.bundle.resolve(), "name": configuration.model},
                **{"workers": workers, "cameras": (), "tokens": None},
                **{"certificate": None, "key": None},
            }
        )
        seed = Seed(own, settings, secrets.token_hex(32))
        serve.run(_application(seed, self.name, self._replicas), name=self.name)
        logger.info("listening at %s", self.address)

    def reload(self) -> dict[str, list[str]]:
        """Read the configuration again: cameras, tokens, and where cameras may be.

        Raises:
            BadInput: it is faulty, or something else changed; nothing was done.
        """
        new = self._read()
        for key in Configuration.model_fields:
            if key not in RELOADED and getattr(new, key) != getattr(self._configuration, key):
                raise BadInput(f"'{key}' changed; a reload cannot take it over; start anew")
        tokens = read_tokens(new.tokens)
        if bool(tokens) != bool(self._tokens):
            raise BadInput("whether there are tokens at all changed; start anew")
        told = self.coordinator.configure(new.cameras, _settings(new, tokens))
        self._configuration, self._tokens = new, tokens
        logger.info("reloaded: %s", told)
        return told

    def stop(self) -> None:
        """End the replicas, and Ray where it was started here."""
        if not ray.is_initialized():
            return
        if self._coordinator is not None:
            self._close_streams(self._coordinator)
        if self._borrowed:
            serve.delete(self.name)
        else:
            serve.shutdown()
        if self._coordinator is not None:
            ray.kill(ray.get_actor(self.name, namespace=NAMESPACE))
            self._coordinator = None
        ray.shutdown()

    def _close_streams(self, coordinator: Far) -> None:
        """Have all streams end: Serve waits for requests that are under way."""
        try:
            coordinator.close()
            time.sleep(2)  # each replica hears of it within a second
        except OfframpError as error:
            logger.warning("streams are cut off: %s", error)

    def _start_ray(self) -> int:
        """Start or join; returns how many workers each replica has."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        workers = self._configuration.workers
        if self._borrowed:
            ray.init(namespace=NAMESPACE, log_to_driver=False)
            machines = [node for node in ray.nodes() if node["Alive"]]
            if len(machines) > 1 and self._configuration.host in LOOPBACK:
                ray.shutdown()
                raise BadInput(
                    f"the cluster has {len(machines)} machines",
                    expected="a --host that they can reach, and tokens",
                    got=self._configuration.host,
                )
            cores = int(ray.cluster_resources().get("CPU", 1))
            return workers or max(1, cores // self._replicas)
        workers = workers or max(1, len(usable_cores()) // self._replicas)
        ray.init(
            address="local",
            namespace=NAMESPACE,
            num_cpus=self._replicas * workers,
            num_gpus=0,
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
        )
        return workers

    def _start_proxy(self) -> None:
        configuration = self._configuration
        if not self._port:
            with socket.create_server((configuration.host, 0)) as probe:
                self._port = probe.getsockname()[1]
        options: dict[str, Any] = {"host": configuration.host, "port": self._port}
        if configuration.certificate is not None and configuration.key is not None:
            options["ssl_certfile"] = str(configuration.certificate)
            options["ssl_keyfile"] = str(configuration.key)
        where = "HeadOnly" if configuration.host in LOOPBACK else "EveryNode"
        serve.start(proxy_location=where, http_options=options)


def run(read: Callable[[], Configuration], replicas: int) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reloads.

    Args:
        read: reads the configuration.
        replicas: how many.

    Raises:
        BadInput: see `Cluster`.
    """
    with Cluster(read, replicas) as cluster:
        ended, again = threading.Event(), threading.Event()
        signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
        signal.signal(signal.SIGINT, lambda number, frame: ended.set())
        signal.signal(signal.SIGHUP, lambda number, frame: again.set())
        while not ended.wait(0.5):
            if again.is_set():
                again.clear()
                try:
                    cluster.reload()
                except OfframpError as error:
                    logger.error("not reloaded: %s", error)


def _settings(configuration: Configuration, tokens: Tokens) -> Settings:
    return Settings(tokens, configuration.allow, configuration.ports)


def _application(seed: Seed, name: str, replicas: int) -> Any:
    """Describe the deployment; what is within runs in each replica's process."""
    workers = seed.configuration.workers or 1
    local = seed.configuration.host in LOOPBACK

    def build() -> Replica:
        logging.getLogger("offramp").setLevel(logging.INFO)
        own_name = serve.get_replica_context().replica_id.unique_id
        host = "127.0.0.1" if local else ray.util.get_node_ip_address()
        actor = ray.get_actor(name, namespace=NAMESPACE)
        return open_replica(seed, own_name, host, Far(actor))

    @serve.deployment(
        name="replica",
        num_replicas=replicas,
        ray_actor_options={"num_cpus": workers},
        max_ongoing_requests=seed.configuration.limits.connections,
        graceful_shutdown_timeout_s=GRACE_S,
        health_check_period_s=2,
        health_check_timeout_s=10,
    )
    @serve.ingress(build)
    class Ingress:
        """What Ray Serve calls."""

        def check_health(self) -> None:
            """Have Serve start this replica anew if it no longer works."""
            if not self.app.healthy:  # type: ignore[attr-defined]
                raise RuntimeError("the replica no longer reports, or its inner server ended")

    return Ingress.bind()  # type: ignore[attr-defined]
