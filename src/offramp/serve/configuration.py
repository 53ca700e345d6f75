"""What a server is told: the bundle, the cameras, who may ask, and how much.

A file of it is YAML; a path in it counts from the file's folder. `${NAME}` in a camera's address
is taken from the environment, so that no password needs to stand in the file.
"""

import os
import re
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from offramp.core.errors import BadInput
from offramp.core.spec import Spec, parse_yaml
from offramp.runtime.engines import check_engine
from offramp.video.address import redact
from offramp.video.camera import CameraSpec
from offramp.video.guard import Guard

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Limits(Spec):
    """How much one request may ask for, and all together.

    Attributes:
        body_mb: megabytes of a request's body, packed and unpacked.
        pixels_mp: megapixels of an image.
        request_s: seconds until a body must have come, and an answer must be there.
        concurrent: images that are decoded and answered at a time.
        streams: streams of pictures and events that are open at a time.
        stream_fps: pictures a second of a stream, at most.
        connections: open connections.
    """

    body_mb: float = Field(default=30, gt=0, le=1000)
    pixels_mp: float = Field(default=50, gt=0, le=500)
    request_s: float = Field(default=30, gt=0, le=600)
    concurrent: int = Field(default=4, ge=1, le=256)
    streams: int = Field(default=32, ge=0, le=4096)
    stream_fps: float = Field(default=10, gt=0, le=60)
    connections: int = Field(default=512, ge=4, le=65536)


class Configuration(Spec):
    """Everything that `offramp serve` can be told.

    Attributes:
        bundle: folder of the bundle.
        name: name of the model for clients; empty: the bundle's folder without its suffix.
        engine: which engine.
        workers: how many frames are computed at a time; absent: one a core.
        host: the address to listen at.
        port: the port; 0: any that is free.
        certificate: file of a TLS certificate chain in PEM; with `key`.
        key: file of its private key.
        tokens: file of tokens; see `serve.tokens`.
        insecure: listen at other addresses than this machine's own although there is no token.
        cameras: from the start.
        allow: networks and host names where cameras may be that are added over HTTP; empty:
            none may be added.
        ports: of such cameras; absent: the usual ones.
        limits: how much may be asked for.
        skip_same: return a camera's previous answer where its first exit agrees with it by at
            least this share; absent: never.
        shadow: share of a camera's frames that also run to the last exit, for monitoring.
        max_disagreement: mean share of pixels in which an early answer may differ from the last
            exit's; beyond it a camera's first exits are closed one by one. Absent: none is.
        keep_frames: folder for frames that differ by more, to calibrate again on; absent: nowhere.
    """

    bundle: Path
    name: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]{0,64}$")
    engine: str = "onnxruntime"
    workers: int | None = Field(default=None, ge=1, le=1024)
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    certificate: Path | None = None
    key: Path | None = None
    tokens: Path | None = None
    insecure: bool = False
    cameras: tuple[CameraSpec, ...] = ()
    allow: tuple[str, ...] = ()
    ports: tuple[int, ...] | None = None
    limits: Limits = Limits()
    skip_same: float | None = Field(default=None, gt=0, le=1)
    shadow: float = Field(default=0.0, ge=0, le=1)
    max_disagreement: float | None = Field(default=None, gt=0, lt=1)
    keep_frames: Path | None = None

    @field_validator("cameras")
    @classmethod
    def _names_differ(cls, cameras: tuple[CameraSpec, ...]) -> tuple[CameraSpec, ...]:
        names = [camera.name for camera in cameras]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two cameras are named '{twice}'")
        return cameras

    @model_validator(mode="after")
    def _monitoring_is_whole(self) -> "Configuration":
        if self.max_disagreement is not None and not self.shadow:
            raise ValueError("max_disagreement needs a shadow above 0: nothing is compared else")
        if self.keep_frames is not None and self.max_disagreement is None:
            raise ValueError("keep_frames needs max_disagreement: what shall be kept?")
        return self

    @property
    def guard(self) -> Guard:
        """What the address of a camera that is added over HTTP must keep to."""
        return Guard.of(self.allow, self.ports)

    def check_exposure(self, tokens: int) -> None:
        """Refuse to be open to the network without a token, unless that was asked for.

        Args:
            tokens: how many there are.

        Raises:
            BadInput: the server would be.
        """
        if self.host not in LOOPBACK and not tokens and not self.insecure:
            raise BadInput(
                f"listening at {self.host} without a token lets everyone in the network do all",
                repair="give --token-file or OFFRAMP_TOKENS, or --insecure if that is meant",
            )

    @property
    def model(self) -> str:
        """The name of the model for clients."""
        stem = self.bundle.resolve().name.removesuffix(".offramp")
        return self.name or re.sub(r"[^A-Za-z0-9_.-]", "-", stem)[:64] or "model"


def read_configuration(file: Path | None, given: dict[str, Any]) -> Configuration:
    """Read a file, and let what the command line gave replace what stands in it.

    Cameras of the command line are added to those of the file.

    Args:
        file: YAML; absent: only what was given.
        given: keys of `Configuration`.

    Raises:
        BadInput: the file or a value in it cannot be used, or there is no bundle.
        UnknownName: a key, an engine or a variable of the environment is not known.
    """
    value: dict[str, Any] = {}
    if file is not None:
        value = _read(file)
    value.update({key: val for key, val in given.items() if key != "cameras"})
    cameras = [*_cameras(value.get("cameras")), *given.get("cameras", [])]
    value["cameras"] = [camera_of(camera) for camera in cameras]
    if "bundle" not in value:
        raise BadInput(
            "there is no bundle to serve", repair="offramp serve BUNDLE, or the key 'bundle'"
        )
    configuration = Configuration.parse(value, str(file or "the command line"))
    check_engine(configuration.engine)
    _ = configuration.guard
    if (configuration.certificate is None) != (configuration.key is None):
        raise BadInput("TLS takes both", expected="'certificate' and 'key'", got="one of them")
    return configuration


def camera_of(value: Any) -> CameraSpec:
    """Read a camera from plain data.

    Raises:
        BadInput: it is none. The message shows nothing of what was given: it may hold a password.
    """
    try:
        return CameraSpec.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        text = "; ".join(f"{'.'.join(map(str, f['loc'])) or 'all'}: {f['msg']}" for f in faults)
        raise BadInput("not a camera", got=redact(text)[:500]) from None


def parse_camera(text: str) -> dict[str, str]:
    """Read NAME=ADDRESS, as the command line takes a camera.

    Raises:
        BadInput: it is not of this form.
    """
    name, equals, address = text.partition("=")
    if not (name and equals and address):
        raise BadInput("not a camera", expected="NAME=ADDRESS", got=f"'{name}'")
    return {"name": name, "address": address}


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} cannot be read", got=str(error)) from None
    value = parse_yaml(text, str(file))
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise BadInput(f"{file} is not a configuration", expected="keys and values")
    for key in ("bundle", "tokens", "certificate", "key", "keep_frames"):
        if isinstance(value.get(key), str):
            value[key] = file.parent / value[key]
    return value


def _cameras(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadInput("'cameras' is not usable", expected="a list")
    return [_filled_in(camera) for camera in value]


def _filled_in(camera: Any) -> Any:
    """Put variables of the environment into a camera's address."""
    if not isinstance(camera, dict) or not isinstance(camera.get("address"), str):
        return camera

    def variable(match: re.Match[str]) -> str:
        name = match[1]
        if name not in os.environ:
            raise BadInput(
                f"camera '{camera.get('name')}': the environment has no variable '{name}'",
                repair=f"set {name}, or write the address without it",
            )
        return os.environ[name]

    return {**camera, "address": re.sub(r"\$\{(\w+)\}", variable, camera["address"])}
