"""The options that name an engine, alike in every verb that runs a bundle."""

from typing import Annotated

import typer

NAMES = (
    "onnxruntime",
    "onnxruntime-cuda",
    "onnxruntime-tensorrt",
    "openvino",
    "torch",
    "torch-cuda",
    "ncnn",
    "auto",
)
"""Spelt out, as importing the table of engines would slow down every verb."""

Engine = Annotated[str, typer.Option(help=f"Of {', '.join(NAMES)} (the fastest here).")]
Precision = Annotated[
    str | None, typer.Option(help="The engine's: f32, bf16 or int8; absent: the plan's.")
]
Threads = Annotated[int | None, typer.Option(help="Threads of the engine; absent: all cores.")]
