"""The table of layouts: how each is recognised, what it may be told, and what reads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offramp.core.errors import BadInput, UnknownName
from offramp.data.readers import (
    ade20k,
    camvid,
    cityscapes,
    coco,
    coco_json,
    folders,
    labelstudio,
    mnist,
    ultralytics,
    voc,
)
from offramp.data.readers.reader import Layout, Reader


@dataclass(frozen=True)
class Entry:
    """One layout.

    Attributes:
        options: what its `dataset.yaml` may hold.
        reader: makes its reader from the root folder and the options.
        recognised: says whether a folder holds it; absent: it must be named.
        signs: what it is recognised by, for people.
    """

    options: type[Layout]
    reader: Callable[[Path, Any], Reader]
    recognised: Callable[[Path], bool] | None
    signs: str


LAYOUTS: dict[str, Entry] = {
    "cityscapes": Entry(
        cityscapes.CityscapesLayout,
        cityscapes.Cityscapes,
        cityscapes.recognised,
        "leftImg8bit/ and gtFine/",
    ),
    "voc": Entry(
        voc.VocLayout,
        voc.Voc,
        voc.recognised,
        "JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/",
    ),
    "coco": Entry(
        coco.CocoLayout,
        coco.Coco,
        coco.recognised,
        "annotations/{instances,panoptic,stuff}_{train,val}2017.json",
    ),
    "ade20k": Entry(
        ade20k.Ade20kLayout,
        ade20k.Ade20k,
        ade20k.recognised,
        "images/training/ and annotations/training/",
    ),
    "camvid": Entry(
        camvid.CamvidLayout,
        camvid.Camvid,
        camvid.recognised,
        "train/ and trainannot/, or label_colors.txt",
    ),
    "labelstudio": Entry(
        labelstudio.LabelStudioLayout,
        labelstudio.LabelStudio,
        labelstudio.recognised,
        "one JSON file, a list of tasks",
    ),
    "coco-json": Entry(
        coco_json.CocoJsonLayout,
        coco_json.CocoJson,
        coco_json.recognised,
        "train/_annotations.coco.json or annotations/instances_default.json",
    ),
    "ultralytics": Entry(
        ultralytics.UltralyticsLayout,
        ultralytics.Ultralytics,
        ultralytics.recognised,
        "data.yaml",
    ),
    "folders": Entry(folders.FoldersLayout, folders.Folders, None, "is named in a dataset.yaml"),
    "mnist": Entry(
        mnist.MnistLayout, mnist.Mnist, mnist.recognised, "train-images-idx3-ubyte[.gz]"
    ),
}
"""By name, as `layout` in a dataset.yaml has it."""


def recognise(folder: Path) -> str | None:
    """Name the layout of a folder; None where it is none of them.

    Raises:
        BadInput: it could be more than one.
    """
    found = [
        name for name, entry in LAYOUTS.items() if entry.recognised and entry.recognised(folder)
    ]
    if len(found) > 1:
        signs = "; ".join(f"{name}: {LAYOUTS[name].signs}" for name in found)
        raise BadInput(
            f"{folder} could be more than one layout",
            got=signs,
            repair=f"say which in a dataset.yaml: layout: {found[0]}",
        )
    return found[0] if found else None


def open_layout(file: Path, value: Mapping[str, Any]) -> tuple[Layout, Reader]:
    """Make the reader that a `dataset.yaml` with the key `layout` asks for.

    Raises:
        UnknownName: there is no such layout, or no such key in it.
        BadInput: its folder does not exist.
    """
    name = str(value["layout"])
    if name not in LAYOUTS:
        raise UnknownName(f"layout in {file}", name, LAYOUTS)
    layout = LAYOUTS[name].options.parse(value, str(file))
    root = (file.parent / layout.path).resolve()
    if not root.is_dir():
        raise BadInput(f"{file}: the folder {root} does not exist", repair="correct 'path'")
    return layout, LAYOUTS[name].reader(root, layout)
