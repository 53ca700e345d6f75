"""Imports point downwards only, and heavy libraries stay where they belong."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import offramp

SOURCE = Path(offramp.__file__).parent

LAYERS: tuple[frozenset[str], ...] = tuple(
    frozenset(layer.split())
    for layer in (
        "cli",
        "serve",
        "report",
        "tuning",
        "profiling",
        "video search export training",
        "runtime evaluation",
        "models scores policies guarantees",
        "data metrics",
        "core",
    )
)
"""From top to bottom; a package may import from lower layers alone."""

SIBLINGS = {("models", "scores")}
"""Imports allowed within a layer."""

BUILD_HALF = frozenset(["models", "scores", "training", "evaluation", "export", "profiling"])

LIBRARIES: dict[str, frozenset[str]] = {
    "torch": BUILD_HALF,
    "torchvision": BUILD_HALF,
    "lightning": BUILD_HALF,
    "onnx": BUILD_HALF,
    "timm": BUILD_HALF,
    "av": frozenset(),
    "scipy": frozenset(),
}
"""Which packages may import a library when they are loaded themselves."""

TORCH_ENGINE = "runtime/torch.py"
"""The one file of the run half that has torch: it is imported when its engine is asked for."""

ANYWHERE: dict[str, frozenset[str]] = {
    "matplotlib": frozenset({"report"}),
    "typer": frozenset({"cli"}),
    "rich": frozenset({"cli"}),
    "onnxruntime": frozenset(
        {"runtime/ort.py", "export/quantise.py", "export/ranges.py", "profiling"}
    ),
    "openvino": frozenset({"runtime/openvino.py"}),
    "fastapi": frozenset({"serve"}),
    "uvicorn": frozenset({"serve"}),
    "prometheus_client": frozenset({"serve"}),
    "ray": frozenset({"serve/cluster"}),
    "av": frozenset({"video", "data/synthetic", "data/clips.py"}),
    "scipy": frozenset({"data/readers"}),
}
"""Which packages may import a library at all, be it within a function."""


def sources() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def package_of(file: Path) -> str:
    """Name the package of a file: the folder below src/offramp, or the module's own name."""
    return file.relative_to(SOURCE).with_suffix("").parts[0]


@functools.cache
def imports(file: Path, loaded_only: bool) -> tuple[str, ...]:
    """List the full names that a file imports; `loaded_only` leaves out those in functions."""
    return tuple(_imports(file, loaded_only))


def _imports(file: Path, loaded_only: bool) -> Iterator[str]:
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (loaded_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            waiting.extend(ast.iter_child_nodes(node))


def own_imports() -> list[tuple[Path, str, str]]:
    """List file, its package, and the package of ours that it imports from."""
    found = []
    for file in sources():
        for name in imports(file, loaded_only=False):
            parts = name.split(".")
            if parts[0] == "offramp" and len(parts) > 1 and package_of(file) != "__init__":
                found.append((file, package_of(file), parts[1]))
    return found


def height(package: str) -> int:
    levels = [i for i, layer in enumerate(reversed(LAYERS)) if package in layer]
    assert levels, f"the package {package} has no layer: give it one here and in ARCHITECTURE.md"
    return levels[0]


def test_every_package_has_a_layer() -> None:
    for file in sources():
        if package_of(file) != "__init__":
            height(package_of(file))


def test_imports_point_downwards() -> None:
    assert len(own_imports()) > 100
    upwards = [
        f"{file.relative_to(SOURCE)} imports {target}"
        for file, package, target in own_imports()
        if target not in {package, "__version__"}
        and (package, target) not in SIBLINGS
        and height(target) >= height(package)
    ]
    assert upwards == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_heavy_library_is_loaded_only_where_it_may(library: str) -> None:
    users = {
        str(file.relative_to(SOURCE))
        for file in sources()
        if package_of(file) not in LIBRARIES[library]
        and not (library == "torch" and file == SOURCE / TORCH_ENGINE)
        and library in {name.split(".")[0] for name in imports(file, loaded_only=True)}
    }
    assert users == set()


@pytest.mark.parametrize("library", ANYWHERE)
def test_a_library_is_used_only_where_it_belongs(library: str) -> None:
    users = {
        str(file.relative_to(SOURCE))
        for file in sources()
        if library in {name.split(".")[0] for name in imports(file, loaded_only=False)}
    }
    homes = tuple(home if home.endswith(".py") else f"{home}/" for home in ANYWHERE[library])
    assert users
    assert [user for user in users if not user.startswith(homes)] == []


@pytest.mark.parametrize(
    "package", ["core", "data", "metrics", "policies", "guarantees", "search", "runtime"]
)
def test_the_run_half_has_no_torch_even_within_functions(package: str) -> None:
    for file in sources():
        if package_of(file) == package and file != SOURCE / TORCH_ENGINE:
            assert "torch" not in {name.split(".")[0] for name in imports(file, False)}, file


def test_the_run_half_loads_without_heavy_libraries() -> None:
    code = """
import sys
import offramp, offramp.runtime.session, offramp.policies.policy, offramp.search
import offramp.data.dataset, offramp.core.bundle, offramp.guarantees
heavy = {"torch", "torchvision", "cv2", "scipy", "lightning", "matplotlib", "av", "onnx", "typer"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_those_that_load() -> None:
    for name in offramp.__all__:
        assert getattr(offramp, name) is not None
    assert dir(offramp) == sorted(offramp.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = offramp.nonsense
