"""Start the processes of a run on this machine, hear them, and end all of them with the first.

The processes are spawned by torch and train; this one only watches. Thus it can be called from
a script, a notebook or a test alike, and nothing that one of them does can hang it: Lightning's
own launcher would start the caller's command line again, and trains in the watching process too.
"""

import logging
import os
import signal
import socket
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from logging.handlers import QueueHandler
from typing import Any, TypeVar

import torch
from torch import distributed, multiprocessing
from torch.multiprocessing.spawn import ProcessContext, ProcessException

from offramp.core.errors import BadInput, OfframpError
from offramp.core.progress import Track, silent

T = TypeVar("T")
Work = Callable[[Any, Track], None]

PATIENCE = timedelta(hours=3)
"""How long a process waits for another: the first may be busy with all images for a while."""

GRACE_S = 10
"""How long the processes may take to end after an interrupt, in seconds."""


@dataclass(frozen=True)
class Team:
    """How many processes train together, and how they find each other.

    Attributes:
        devices: processes on each machine, each with a GPU of its own where there are GPUs.
        nodes: machines.
        node: which of them this is, from 0.
        address: host name of the first machine.
        port: where the first machine listens.
    """

    devices: int
    nodes: int
    node: int
    address: str
    port: int

    @classmethod
    def of(cls, devices: int, nodes: int) -> "Team":
        """Find out how to meet: on one machine anyhow, on several as the environment says.

        Raises:
            BadInput: there are fewer GPUs than devices, or the environment does not say it.
        """
        gpus = torch.cuda.device_count()
        if 0 < gpus < devices:
            raise BadInput("too many devices", expected=f"at most {gpus} GPUs", got=str(devices))
        if nodes == 1:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                return cls(devices, nodes, 0, "127.0.0.1", int(free.getsockname()[1]))
        found = [os.environ.get(name, "") for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")]
        node, address, port = found
        if not (node.isdigit() and int(node) < nodes and address and port.isdigit()):
            raise BadInput(
                f"the environment does not say how {nodes} machines meet",
                expected=f"NODE_RANK from 0 to {nodes - 1}, MASTER_ADDR and MASTER_PORT",
                got=", ".join(repr(value) for value in found),
                repair="set them on each machine, the last two to the first machine's",
            )
        return cls(devices, nodes, int(node), address, int(port))


def launch(work: Work, given: Any, team: Team, track: Track = silent) -> None:
    """Let every process of this machine do `work`, and wait until all are done.

    Args:
        work: called as `work(given, track)` where the processes can talk to each other; a
            function of a module, so that it can be found by name.
        given: what it works on; can be pickled.
        team: the processes.
        track: shows the progress of the very first process.

    Raises:
        BadInput: a process raised one.
        OfframpError: a process raised one, or was killed.
        RuntimeError: a process raised anything else.
    """
    told: Any = multiprocessing.get_context("spawn").SimpleQueue()
    threads = max(1, torch.get_num_threads() // team.devices)
    level = logging.getLogger("offramp").getEffectiveLevel()
    arguments = (work, given, team, told, threads, level)
    started = multiprocessing.start_processes(_process, arguments, team.devices, join=False)
    heard = _Heard(track)
    try:
        while not started.join(timeout=0.2, grace_period=1):
            heard.hear(told)
        heard.hear(told)
        heard.finish()
    except ProcessException as failure:
        heard.hear(told)
        raise (heard.errors or [OfframpError(str(failure))])[0] from None
    except BaseException:  # an interrupt, of which the others need not know
        _end(started)
        raise


class _Heard:
    """What the processes said: progress, lines of the log, errors; the first error is the cause."""

    def __init__(self, track: Track) -> None:
        self.track = track
        self.label = ""
        self.steps: Iterator[int] = iter(())
        self.errors: list[Exception] = []

    def hear(self, told: Any) -> None:
        """Pass on what has been said since the last time."""
        while not told.empty():
            said = told.get()
            if isinstance(said, logging.LogRecord):
                logging.getLogger(said.name).handle(said)
            elif isinstance(said, Exception):
                self.errors.append(said)
            else:
                self._step(*said)

    def finish(self) -> None:
        """Bring the progress shown to its end."""
        for _ in self.steps:
            pass

    def _step(self, label: str, total: int) -> None:
        if label != self.label:
            self.finish()
            self.label, self.steps = label, iter(self.track(range(total), total, label))
        next(self.steps, None)


class _Teller(QueueHandler):
    """Hand log lines to the process that watches."""

    def __init__(self, told: Any) -> None:
        super().__init__(told)
        self.told = told

    def enqueue(self, record: logging.LogRecord) -> None:
        self.told.put(record)


def _process(
    local: int, work: Work, given: Any, team: Team, told: Any, threads: int, level: int
) -> None:
    """Meet the other processes, then work; tell what goes wrong."""
    warnings.simplefilter("ignore")  # they were shown where the run was begun
    rank = team.node * team.devices + local

    def track(items: Iterable[T], total: int, label: str) -> Iterator[T]:
        for item in items:
            told.put((label, total))
            yield item

    if rank == 0:
        own = logging.getLogger("offramp")
        own.addHandler(_Teller(told))
        own.setLevel(level)
    try:
        _meet(local, rank, team, threads)
        work(given, track if rank == 0 else silent)
        distributed.barrier()
        distributed.destroy_process_group()
    except OfframpError as error:
        kind = BadInput if isinstance(error, BadInput) else OfframpError
        told.put(kind(str(error)))
        raise
    except Exception:
        told.put(RuntimeError(f"process {rank} of training failed:\n{traceback.format_exc()}"))
        raise


def _meet(local: int, rank: int, team: Team, threads: int) -> None:
    """Join the group, by NCCL between GPUs and by gloo between CPUs."""
    os.environ.update(  # by which Lightning sees that the processes are there
        LOCAL_RANK=str(local),
        NODE_RANK=str(team.node),
        MASTER_ADDR=team.address,
        MASTER_PORT=str(team.port),
        OMP_NUM_THREADS=str(threads),
    )
    torch.set_num_threads(threads)
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(local)
    distributed.init_process_group(
        "nccl" if gpu else "gloo",
        rank=rank,
        world_size=team.devices * team.nodes,
        timeout=PATIENCE,
        device_id=torch.device("cuda", local) if gpu else None,
    )
    distributed.barrier()  # behind it, all find what the first machine wrote before


def _end(started: ProcessContext) -> None:
    """Interrupt what still runs, and kill what does not listen."""
    for process in started.processes:
        if process.is_alive():
            os.kill(process.pid, signal.SIGINT)
    for process in started.processes:
        process.join(GRACE_S)
        if process.is_alive():
            process.kill()
            process.join()
