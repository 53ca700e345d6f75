"""One labelled image: what it is called, and where its picture and its labels are."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """One labelled image.

    A path may lead into a file that holds many: `train-images-idx3-ubyte/00017` is the 18th
    image of an IDX file, `instances_train2017.json/000000000139.jpg` an image's entry.

    Attributes:
        name: its name in the data set, the same on every machine; traces keep it.
        image: the picture; `images.read_image` reads it.
        mask: what holds its labels; `Dataset.read` knows how to read them.
        group: scene, city or sequence; images of one group stay in one split. Empty: none.
        clip: the video whose frames, in order, this and its neighbours are. Empty: none.
    """

    name: str
    image: Path
    mask: Path
    group: str = ""
    clip: str = ""
