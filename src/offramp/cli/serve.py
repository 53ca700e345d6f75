"""`offramp serve`: a bundle over HTTP, with cameras, events, metrics and a page."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.console import verb
from offramp.core.errors import BadInput, MissingExtra

if TYPE_CHECKING:
    from offramp.serve.configuration import Configuration

LIBRARIES = ("fastapi", "starlette", "uvicorn", "prometheus_client", "python_multipart")
RAY = ("ray", "aiohttp")


@verb
def serve(
    bundle: Annotated[
        Path | None, typer.Argument(help="Folder of a bundle; or the key 'bundle' of --config.")
    ] = None,
    camera: Annotated[
        list[str] | None, typer.Option(help="NAME=ADDRESS; may be given several times.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Configuration in YAML.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen at; 127.0.0.1 if not given.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port; 8080 if not given, 0: any free one.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="Which engine; onnxruntime if not given.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Frames computed at a time; one a core if not given.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="File of ROLE:NAME:SECRET lines.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen to the network without any token.")
    ] = False,
    ray: Annotated[
        bool,
        typer.Option(
            "--ray", help="As replicas on Ray Serve: here, or on the cluster at RAY_ADDRESS."
        ),
    ] = False,
    replicas: Annotated[
        int | None, typer.Option(min=1, max=1000, help="With --ray: how many; 2 if not given.")
    ] = None,
) -> dict[str, Any]:
    """Serve a bundle over HTTP until SIGTERM or Ctrl-C."""
    try:
        from offramp.serve.configuration import parse_camera, read_configuration
        from offramp.serve.server import Server
        from offramp.serve.service import open_service
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in LIBRARIES:
            raise
        raise MissingExtra(str(error.name), "serve", "offramp serve") from None
    if replicas is not None and not ray:
        raise BadInput("--replicas needs --ray", repair="give both, or neither")

    said = {
        "bundle": bundle,
        "host": host,
        "port": port,
        "engine": engine,
        "workers": workers,
        "tokens": token_file,
        "insecure": insecure or None,
    }
    given: dict[str, Any] = {key: value for key, value in said.items() if value is not None}
    given["cameras"] = [parse_camera(text) for text in camera or ()]
    read = partial(read_configuration, config, given)
    if ray:
        _run_on_ray(read, replicas or 2)
        return {}
    Server(open_service(read(), reread=read)).run()
    return {}


def _run_on_ray(read: "Callable[[], Configuration]", replicas: int) -> None:
    try:
        from offramp.serve.cluster.deployment import run
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in RAY:
            raise
        raise MissingExtra(str(error.name), "ray", "offramp serve --ray") from None
    run(read, replicas)
