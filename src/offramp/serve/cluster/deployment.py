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
from ray.exceptions import RayError

from offramp.core.bundle import Bundle
from offramp.core.errors import BadInput, OfframpError
from offramp.runtime.machine import usable_cores
from offramp.serve.cluster.coordinator import Coordinator
from offramp.serve.cluster.far import Far
from offramp.serve.cluster.replica import Replica, Seed, open_replica
from offramp.serve.cluster.table import Settings
from offramp.serve.configuration import LOOPBACK, Configuration
from offramp.serve.tokens import Tokens, read_tokens
from offramp.video.answer import Unanswered

logger = logging.getLogger(__name__)

NAMESPACE = "offramp"
GRACE_S = 10.0
STORE_BYTES = 80_000_000
"""Of Ray's object store, where Ray is started here: nothing large goes through it."""
RELOADED = ("cameras", "tokens", "allow", "ports")


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
        self._started = False
        self._port = self._configuration.port
        Bundle.open(self._configuration.bundle)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
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
            BadInput: the cluster has several machines, and the server listens to one alone; or
                Serve runs there already, so that its host and port would hold, not these.
            Unanswered: the replicas do not start.
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
        folder = configuration.keep_frames
        folder = None if folder is None else folder.resolve()
        own = configuration.model_copy(
            update={
                **{"bundle": configuration.bundle.resolve(), "name": configuration.model},
                **{"workers": workers, "cameras": (), "tokens": None},
                **{"certificate": None, "key": None, "keep_frames": folder},
                "insecure": True,  # who may reach it was checked here
            }
        )
        seed = Seed(own, settings, secrets.token_hex(32))
        try:
            serve.run(_application(seed, self.name, self._replicas), name=self.name)
        except (RuntimeError, RayError) as error:
            raise Unanswered(f"the replicas do not start: {error}") from None
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
        if self._started:
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
            self._check_cluster()
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

    def _check_cluster(self) -> None:
        machines = [node for node in ray.nodes() if node["Alive"]]
        if len(machines) > 1 and self._configuration.host in LOOPBACK:
            raise BadInput(
                f"the cluster has {len(machines)} machines",
                expected="a --host that they can reach, and tokens",
                got=self._configuration.host,
            )
        if serve.status().proxies:
            raise BadInput(
                "Ray Serve runs on this cluster already, and would listen where it does now",
                repair="end it first: serve shutdown",
            )

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
        self._started = True
        serve.start(
            proxy_location=where,
            http_options=options,
            logging_config={"enable_access_log": False},
        )


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
        logging_config={"enable_access_log": False},
    )
    @serve.ingress(build)
    class Ingress:
        """What Ray Serve calls."""

        def check_health(self) -> None:
            """Have Serve start this replica anew if it no longer works."""
            if not self.app.healthy:  # type: ignore[attr-defined]
                raise RuntimeError("the replica no longer reports, or its inner server ended")

    return Ingress.bind()  # type: ignore[attr-defined]
