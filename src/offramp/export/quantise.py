"""Quantise the graphs of a bundle to whole numbers of 8 bits, calibrated on real images.

Static quantisation (Jacob et al. 2018, arXiv 1712.05877): each activation x is held as
q = round(x / s) + z, with s and z from the range that it had on the calibration images; weights
per output channel and symmetric. The graphs say so by pairs of QuantizeLinear and DequantizeLinear
(QDQ), which ONNX Runtime and OpenVINO turn into integer kernels.

Some things stay in float, because little is gained there and much is lost: the first convolution,
which sees the image; the last convolution of each exit with everything behind it, for the scores
decide; and resizing. So do products of matrices, of which adaptive pooling is made.
"""

import platform
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, shape_inference
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from offramp.core.bundle import FRAME, Bundle, Graph
from offramp.core.errors import BadInput
from offramp.core.progress import Track, silent
from offramp.data.dataset import Dataset
from offramp.data.images import resize_image
from offramp.data.sample import Sample
from offramp.export.precise import CONVOLUTIONS, float_nodes, has_convolution
from offramp.export.ranges import Watched
from offramp.runtime.engine import State
from offramp.runtime.ort import share_pool

QUANTISED = (
    *CONVOLUTIONS,
    "Add",
    "Concat",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Relu",
    "Clip",
)
"""Operations that compute in whole numbers; Relu and Clip vanish into the range of a value."""


def quantise(
    bundle: Bundle,
    data: Dataset,
    samples: Sequence[Sample],
    folder: Path,
    *,
    threads: int | None = None,
    track: Track = silent,
) -> None:
    """Write every segment and head of a bundle quantised, and its decoder as it is.

    Each graph is calibrated on what those before it give in float on the calibration images.
    Activations have 8 bits without a sign, weights 8 with one, or 7 where `saturates`.

    Args:
        bundle: in float.
        data: the data set of the images.
        samples: the calibration images.
        folder: where to write; the files keep their names.
        threads: of the engine that runs the chain.
        track: shows progress.

    Raises:
        BadInput: the bundle is quantised already, or there is no image.
        DataFault: an image cannot be read.
    """
    manifest = bundle.manifest
    if manifest.precision != "f32":
        raise BadInput(f"{bundle.folder} is quantised already", repair="convert its source")
    if not samples:
        raise BadInput("calibration needs at least one image")
    share_pool(threads)
    with tempfile.TemporaryDirectory() as scratch:
        graphs = [*manifest.segments, *manifest.heads]
        files = {graph.file: _prepare(bundle.path(graph), Path(scratch)) for graph in graphs}
        watched = {graph.file: Watched(graph, files[graph.file], QUANTISED) for graph in graphs}
        for sample in track(samples, len(samples), "calibrating"):
            frame = resize_image(data.read(sample)[0], manifest.model.size)
            state = State({FRAME: np.ascontiguousarray(frame)[None]})
            for segment, head in zip(manifest.segments, manifest.heads, strict=True):
                state = watched[segment.file].run(state)
                watched[head.file].run(state.beside(None, None))
        for index, graph in enumerate(track(graphs, len(graphs), "quantising")):
            prepared = files[graph.file]
            ranges = prepared.with_suffix(".json")
            watched[graph.file].save(ranges)
            kept = float_nodes(onnx.load(prepared), index == 0, _answers(graph, bundle))
            if has_convolution(bundle.path(graph)):
                _quantise(prepared, ranges, folder / graph.file, kept)
            else:
                shutil.copyfile(bundle.path(graph), folder / graph.file)
    shutil.copyfile(bundle.path(manifest.decoder), folder / manifest.decoder.file)


def _prepare(source: Path, scratch: Path) -> Path:
    """Fold constants, infer shapes, and name every operation.

    What `quant_pre_process` does, but in the shared thread pool: it brings one of its own.
    """
    file = scratch / source.name
    options = onnxruntime.SessionOptions()
    options.use_per_session_threads = False
    options.log_severity_level = 3
    options.optimized_model_filepath = str(file)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    model = shape_inference.infer_shapes(onnx.load(file))
    add_pre_process_metadata(model)
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"  # what stays in float is named
    onnx.save(model, file)
    return file


def _answers(graph: Graph, bundle: Bundle) -> bool:
    """Tell whether an exit's last convolution is in this graph: a head, or a segment before one
    that has none, such as the network's own end.
    """
    manifest = bundle.manifest
    if graph in manifest.heads:
        return True
    head = manifest.heads[manifest.segments.index(graph)]
    return not has_convolution(bundle.path(head))


def _quantise(prepared: Path, ranges: Path, target: Path, kept: set[str]) -> None:
    """Write one prepared graph quantised; its values keep their names, shapes and types."""
    quantize_static(
        str(prepared),
        str(target),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(QUANTISED),
        nodes_to_exclude=sorted(kept),
        per_channel=True,
        reduce_range=saturates(),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibration_cache_path=ranges,
    )
    _drop_unused_domains(target)


def saturates(cpu_info: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether this processor's products of bytes saturate: then weights get 7 bits.

    x86 without VNNI adds two products of 8 bits into 16 (VPMADDUBSW), which may not hold them.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    flags = set(cpu_info.read_text().split()) if cpu_info.is_file() else set()
    return not flags & {"avx512_vnni", "avx_vnni"}


def _drop_unused_domains(file: Path) -> None:
    """Leave out the operator sets that ONNX Runtime lists in passing; engines may refuse them."""
    model = onnx.load(file)
    used = {node.domain for node in model.graph.node}
    kept = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(each.domain, each.version) for each in kept)
    onnx.checker.check_model(model)
    onnx.save(model, file)
