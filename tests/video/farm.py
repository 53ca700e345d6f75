"""A server of real streams as a process of its own, that can be frozen, killed, and started again.

The server is `rtsp_farm.py`; it needs the system's Python with GStreamer's bindings.
"""

import os
import signal
import subprocess
import time
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

PYTHON = Path("/usr/bin/python3")
SCRIPT = Path(__file__).with_name("rtsp_farm.py")
MISSING = 3


class NoFarm(Exception):
    """This machine has not what a farm needs; the text says what."""


class Farm:
    """A farm of cameras on this machine.

    Args:
        arguments: of the script, besides `--port`.
        port: to listen at; 0: any that is free, and the same one after a new start.
    """

    def __init__(self, *arguments: object, port: int = 0) -> None:
        self.port = port
        self._arguments = list(map(str, arguments))
        self._process: subprocess.Popen[str] | None = None

    def start(self, *arguments: object) -> float:
        """Serve; other arguments replace those given before.

        Returns:
            When it began to listen, on `time.perf_counter`.

        Raises:
            NoFarm: GStreamer is not installed.
            RuntimeError: it cannot be started for another reason.
        """
        if not PYTHON.exists():
            raise NoFarm(f"there is no {PYTHON} with GStreamer's bindings")
        self._arguments = list(map(str, arguments)) or self._arguments
        command = [str(PYTHON), str(SCRIPT), "--port", str(self.port), *self._arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        now = time.perf_counter()
        if not line:
            _, said = process.communicate()
            raise (NoFarm if process.returncode == MISSING else RuntimeError)(said.strip())
        self.port = int(line)
        self._process = process
        return now

    def kill(self) -> float:
        """End it at once, as a power cut would; gives the time."""
        self._signal(signal.SIGKILL)
        now = time.perf_counter()
        if self._process is not None:
            self._process.communicate()
            self._process = None
        return now

    def freeze(self) -> float:
        """Let it hang, its connections open; gives the time."""
        return self._signal(signal.SIGSTOP)

    def thaw(self) -> float:
        """Let it go on; gives the time."""
        return self._signal(signal.SIGCONT)

    def url(self, path: str) -> str:
        """Give the address of a stream, such as `cam0`."""
        return f"rtsp://127.0.0.1:{self.port}/{path}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def _signal(self, number: int) -> float:
        if self._process is not None:
            os.kill(self._process.pid, number)
        return time.perf_counter()


def write_clip(
    video: Path, file: Path, size: tuple[int, int], fps: int, first: int = 0, frames: int = 300
) -> Path:
    """Make of a part of a video a clip that a farm can show.

    Args:
        video: anything that PyAV reads.
        file: where the clip goes.
        size: width and height of its frames in pixels.
        fps: what the clip will be shown at.
        first: the frame of the video that it begins with.
        frames: how many it has at most.
    """
    import av

    with av.open(str(video)) as source, av.open(str(file), "w", format="h264") as out:
        stream = out.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        # A delimiter before each frame, a key frame a second, and no frame that needs a later one.
        stream.options = {
            "preset": "veryfast",
            "tune": "zerolatency",
            "x264-params": f"aud=1:keyint={fps}:bframes=0:scenecut=0",
        }
        for frame in islice(source.decode(video=0), first, first + frames):
            picture = frame.reformat(*size, "yuv420p")
            picture.pts = None
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return file
