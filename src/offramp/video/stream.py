"""Open streams: packets in, decoded frames out, by PyAV for the network and this machine.

A stream blocks for two seconds at most while it reads and for five while it opens. What it may
load is bound to its kind: protocols and, for HTTP, containers are listed, so that no playlist can
lead elsewhere, and HTTP redirects are not followed. FFmpeg has no option against those of RTSP.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from offramp.core.errors import BadInput
from offramp.data.clips import load_av
from offramp.video.address import NETWORK_PORTS, Address
from offramp.video.picture import Corrupt, Decoded, Picture
from offramp.video.sources import open_source
from offramp.video.synthetic import SyntheticStream

OPEN_S = 5.0
READ_S = 2.0

PROTOCOLS = {
    "rtsp": "rtsp,rtp,tcp",
    "rtsps": "rtsp,rtp,tls,tcp",
    "http": "http,tcp",
    "https": "https,http,tls,tcp",
    "usb": "file",
}
FORMATS = "mpjpeg,mjpeg,jpeg_pipe,mpegts,flv,matroska,webm,mov,mp4"
"""Containers that HTTP may bring: none that names further addresses."""


class Denied(ConnectionError):
    """The camera knows us, or does not, and lets us not in."""


class Stream(Protocol):
    """An open stream.

    Attributes:
        fps: the rate that it declares; none if it declares none.
    """

    fps: float | None

    def read(self) -> Sequence[Picture]:
        """Wait for the next packet, and decode it: no, one, or several frames.

        Raises:
            Corrupt: the packet could not be decoded.
            EOFError: there are no more.
            Exception: whatever a library raises where the connection is lost.
        """
        ...

    def close(self) -> None:
        """Let go of the camera."""
        ...


Opener = Callable[[Address], Stream]


def open_stream(address: Address) -> Stream:
    """Open what an address names.

    Raises:
        BadInput: it will never open: it is refused, or is no video.
        MissingExtra: PyAV is not installed.
        Denied: the camera does not accept the user or the password.
        Exception: whatever a library raises where it cannot be reached now.
    """
    if address.kind == "synthetic":
        return SyntheticStream(address.scene())
    if address.kind == "file":
        return SourceStream(address.secret)
    return CameraStream(address)


class CameraStream:
    """A camera in the network or at this machine, through PyAV.

    Args:
        address: where it is.
    """

    def __init__(self, address: Address) -> None:
        av = load_av()
        url, options = address.pinned(), _options(address)
        form = {"rtsp": "rtsp", "rtsps": "rtsp", "usb": "v4l2"}.get(address.kind)
        if form == "v4l2" and not {"v4l2", "video4linux2", "video4linux2,v4l2"} & set(
            av.formats_available
        ):
            raise BadInput(
                "this build of PyAV reads no cameras of this machine",
                repair="build it against a system's FFmpeg (pip install av --no-binary av), "
                "or publish the camera by RTSP",
            )
        try:
            self._container = av.open(url, format=form, options=options, timeout=(OPEN_S, READ_S))
        except (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError) as error:
            raise Denied(str(error)) from None
        try:
            if not self._container.streams.video:
                raise ConnectionError("there is no video in the stream")
            stream = self._container.streams.video[0]
            # Threads by frames would hold back as many frames; one is enough for a camera.
            stream.thread_type = "SLICE"
            stream.codec_context.thread_count = 1
            self.fps = float(stream.average_rate) if stream.average_rate else None
            self._packets = self._container.demux(stream)
        except BaseException:
            self._container.close()
            raise

    def read(self) -> Sequence[Picture]:
        """Wait for a packet, for two seconds at most, and decode it."""
        av = load_av()
        begun = time.monotonic()
        packet = next(self._packets, None)
        if time.monotonic() - begun > 0.95 * READ_S:
            # FFmpeg hands out what it still holds when a read times out, and only the next read
            # fails: a dead camera would look alive for twice the time.
            raise TimeoutError(f"no packet for {READ_S:g} s")
        if packet is None:
            raise EOFError("the camera ended the stream")
        try:
            decoded = packet.decode()
        except EOFError:
            return ()
        except (av.FFmpegError, ValueError) as error:
            raise Corrupt(str(error)) from None
        return [Decoded(frame) for frame in decoded]

    def close(self) -> None:
        """Let go of the camera."""
        self._container.close()


class SourceStream:
    """A file or a folder as a stream.

    Args:
        path: the file, or the folder.
    """

    def __init__(self, path: str) -> None:
        source = open_source(path)
        self.fps = source.fps
        self._pictures = source.pictures()

    def read(self) -> Sequence[Picture]:
        """Give the next frame."""
        picture = next(self._pictures, None)
        if picture is None:
            raise EOFError
        if isinstance(picture, Corrupt):
            raise picture
        return (picture,)

    def close(self) -> None:
        """Close the file."""
        self._pictures.close()


def _options(address: Address) -> dict[str, str]:
    """Choose FFmpeg's options: what a stream may load, and how little is held back."""
    options = {
        "protocol_whitelist": PROTOCOLS[address.kind],
        "fflags": "nobuffer",
        "flags": "low_delay",
        # How much is read to learn of the stream; by default 5 s, on each reconnection.
        "analyzeduration": "500000",
    }
    timeout_us = str(int(1e6 * READ_S))
    if address.kind in ("rtsp", "rtsps"):
        return {**options, "rtsp_transport": "tcp", "timeout": timeout_us}
    if address.kind in ("http", "https"):
        options |= {"rw_timeout": timeout_us, "max_redirects": "0", "format_whitelist": FORMATS}
        if address.guard is not None:  # the URL has a number in place of the name
            port = "" if address.port == NETWORK_PORTS[address.kind] else f":{address.port}"
            options["headers"] = f"Host: {address.host}{port}\r\n"
    return options
