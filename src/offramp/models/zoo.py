"""The networks that offramp can build by name: one literal table, timm's models, and your own.

A name is one of the table's, "timm:NAME" for any model of timm that offers `features_only`, or
"path/to/file.py:factory" for a function of yours that takes the number of classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from torch import nn

from offramp.core.errors import BadInput, OfframpError, UnknownName
from offramp.core.head import CLASSIFIER, PLAIN, HeadSpec
from offramp.core.model import ModelSpec
from offramp.models.backbones import Backbone
from offramp.models.bisenetv2 import BiSeNetV2
from offramp.models.ddrnet import DDRNet23Slim
from offramp.models.dilated import (
    deeplabv3_mobilenetv2,
    deeplabv3_resnet50,
    fcn_mobilenetv2,
    fcn_resnet50,
)
from offramp.models.fastscnn import FastSCNN
from offramp.models.hrnet import HRNet
from offramp.models.lenet import LeNet
from offramp.models.own import is_own, load_factory, own_knobs

TIMM = "timm:"


class Point(NamedTuple):
    """A block after which a network is usually cut, and what it claims of itself.

    Attributes:
        name: its name in the module.
        channels: channels that come out, with the default knobs.
        stride: input height over output height.
        share: share of the work from the image to its end, at 512×512 with 21 classes (for
            networks that classify: at the size and number that they were made for).
    """

    name: str
    channels: int
    stride: int
    share: float


@dataclass(frozen=True)
class Entry:
    """One network of the zoo.

    Attributes:
        build: makes the module from the number of classes and the knobs.
        points: the blocks after which it is usually cut, in the order in which they run; none
            where they are found by tracing. Any other block of the module may be named as well.
        exits: the points at which exits sit unless told otherwise; none: at equal shares of
            the work.
        knobs: the knobs with their defaults.
        source: where the architecture is described.
        head: the plain head that stage 1 trains at every exit.
    """

    build: Callable[..., nn.Module]
    points: tuple[Point, ...] = ()
    exits: tuple[str, ...] = ()
    knobs: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    head: HeadSpec = PLAIN

    @property
    def blocks(self) -> tuple[str, ...]:
        """The names of the points."""
        return tuple(point.name for point in self.points)


_RESNET50_EXITS = (
    "backbone.layer2.3",
    "backbone.layer3.2",
    "backbone.layer3.5",
    "backbone.layer4.0",
)
_MOBILENETV2_EXITS = ("backbone.6", "backbone.10", "backbone.13", "backbone.15")
_HRNET_EXITS = ("backbone.layer1", "backbone.stage2", "backbone.stage3")

ZOO: Mapping[str, Entry] = {
    "fastscnn": Entry(
        build=FastSCNN,
        points=(
            Point("stem", 64, 8, 0.120),
            Point("bottleneck1", 64, 16, 0.402),
            Point("bottleneck2", 96, 32, 0.515),
            Point("bottleneck3", 128, 32, 0.680),
            Point("pyramid", 128, 32, 0.690),
            Point("fusion", 128, 8, 0.816),
        ),
        exits=("stem", "bottleneck1", "bottleneck2", "fusion"),
        knobs={"width": 1.0, "expansion": 6, "repetition": 3, "pyramid": True, "channels": 3},
        source="Poudel et al. 2019, as the thesis IOT builds it",
    ),
    "bisenetv2": Entry(
        build=BiSeNetV2,
        points=(
            Point("stem", 16, 4, 0.011),
            Point("stage3", 32, 8, 0.021),
            Point("stage4", 64, 16, 0.031),
            Point("stage5", 128, 32, 0.051),
            Point("context", 128, 32, 0.054),
            Point("detail1", 64, 2, 0.260),
            Point("detail2", 64, 4, 0.407),
            Point("detail3", 128, 8, 0.530),
            Point("aggregation", 128, 8, 0.600),
        ),
        exits=("stage3", "stage4", "context", "aggregation"),
        knobs={"width": 1.0, "expansion": 6, "repetition": 4, "channels": 3},
        source="Yu et al. 2020",
    ),
    "ddrnet23_slim": Entry(
        build=DDRNet23Slim,
        points=(
            Point("stem", 32, 4, 0.046),
            Point("layer1", 32, 4, 0.179),
            Point("layer2", 64, 8, 0.297),
            Point("low3", 128, 16, 0.416),
            Point("high3", 64, 8, 0.549),
            Point("up3", 64, 8, 0.551),
            Point("down3", 128, 16, 0.567),
            Point("low4", 256, 32, 0.686),
            Point("high4", 64, 8, 0.819),
            Point("up4", 64, 8, 0.820),
            Point("down4", 256, 32, 0.853),
            Point("low5", 512, 64, 0.869),
            Point("dappm", 128, 64, 0.880),
            Point("high5", 128, 8, 0.932),
        ),
        exits=("layer2", "low3", "up3", "up4"),
        knobs={"width": 1.0, "repetition": 2, "channels": 3},
        source="Hong et al. 2021",
    ),
    "hrnet_w18": Entry(
        build=partial(HRNet, variant="hrnet_w18"),
        points=(
            Point("backbone.layer1", 256, 4, 0.290),
            Point("backbone.stage2", 54, 4, 0.388),
            Point("backbone.stage3", 126, 4, 0.655),
            Point("backbone.stage4", 270, 4, 0.930),
        ),
        exits=_HRNET_EXITS,
        knobs={"channels": 3},
        source="Wang et al. 2020 (HRNetV2), trunk from timm; VIDEO §3.3",
    ),
    "hrnet_w18_small_v2": Entry(
        build=partial(HRNet, variant="hrnet_w18_small_v2"),
        points=(
            Point("backbone.layer1", 256, 4, 0.319),
            Point("backbone.stage2", 54, 4, 0.467),
            Point("backbone.stage3", 126, 4, 0.673),
            Point("backbone.stage4", 270, 4, 0.866),
        ),
        exits=_HRNET_EXITS,
        knobs={"channels": 3},
        source="Wang et al. 2020 (HRNetV2), trunk from timm",
    ),
    "fcn_resnet50": Entry(
        build=fcn_resnet50,
        points=(
            Point("backbone.maxpool", 64, 4, 0.004),
            Point("backbone.layer1.0", 256, 4, 0.013),
            Point("backbone.layer1.1", 256, 4, 0.021),
            Point("backbone.layer1.2", 256, 4, 0.030),
            Point("backbone.layer2.0", 512, 8, 0.044),
            Point("backbone.layer2.1", 512, 8, 0.052),
            Point("backbone.layer2.2", 512, 8, 0.060),
            Point("backbone.layer2.3", 512, 8, 0.068),
            Point("backbone.layer3.0", 1024, 8, 0.113),
            Point("backbone.layer3.1", 1024, 8, 0.146),
            Point("backbone.layer3.2", 1024, 8, 0.179),
            Point("backbone.layer3.3", 1024, 8, 0.212),
            Point("backbone.layer3.4", 1024, 8, 0.245),
            Point("backbone.layer3.5", 1024, 8, 0.278),
            Point("backbone.layer4.0", 2048, 8, 0.456),
            Point("backbone.layer4.1", 2048, 8, 0.588),
            Point("backbone.layer4.2", 2048, 8, 0.720),
        ),
        exits=_RESNET50_EXITS,
        source="Long et al. 2015 on a dilated ResNet50, from torchvision; MESS table 2 (i)",
    ),
    "deeplabv3_resnet50": Entry(
        build=deeplabv3_resnet50,
        points=(
            Point("backbone.maxpool", 64, 4, 0.004),
            Point("backbone.layer1.0", 256, 4, 0.011),
            Point("backbone.layer1.1", 256, 4, 0.018),
            Point("backbone.layer1.2", 256, 4, 0.025),
            Point("backbone.layer2.0", 512, 8, 0.037),
            Point("backbone.layer2.1", 512, 8, 0.044),
            Point("backbone.layer2.2", 512, 8, 0.051),
            Point("backbone.layer2.3", 512, 8, 0.058),
            Point("backbone.layer3.0", 1024, 8, 0.096),
            Point("backbone.layer3.1", 1024, 8, 0.124),
            Point("backbone.layer3.2", 1024, 8, 0.151),
            Point("backbone.layer3.3", 1024, 8, 0.179),
            Point("backbone.layer3.4", 1024, 8, 0.207),
            Point("backbone.layer3.5", 1024, 8, 0.235),
            Point("backbone.layer4.0", 2048, 8, 0.386),
            Point("backbone.layer4.1", 2048, 8, 0.498),
            Point("backbone.layer4.2", 2048, 8, 0.609),
        ),
        exits=_RESNET50_EXITS,
        source="Chen et al. 2017 on a dilated ResNet50, from torchvision; MESS table 2 (v)",
    ),
    "fcn_mobilenetv2": Entry(
        build=fcn_mobilenetv2,
        points=(
            Point("backbone.0", 32, 2, 0.007),
            Point("backbone.1", 16, 2, 0.013),
            Point("backbone.2", 24, 4, 0.030),
            Point("backbone.3", 24, 4, 0.046),
            Point("backbone.4", 32, 8, 0.055),
            Point("backbone.5", 32, 8, 0.062),
            Point("backbone.6", 32, 8, 0.069),
            Point("backbone.7", 64, 8, 0.078),
            Point("backbone.8", 64, 8, 0.103),
            Point("backbone.9", 64, 8, 0.128),
            Point("backbone.10", 64, 8, 0.153),
            Point("backbone.11", 96, 8, 0.184),
            Point("backbone.12", 96, 8, 0.239),
            Point("backbone.13", 96, 8, 0.294),
            Point("backbone.14", 160, 8, 0.367),
            Point("backbone.15", 160, 8, 0.517),
            Point("backbone.16", 160, 8, 0.667),
            Point("backbone.17", 320, 8, 0.890),
        ),
        exits=_MOBILENETV2_EXITS,
        knobs={"width": 1.0},
        source="Sandler et al. 2018, dilated to stride 8; MESS table 2 (ix)",
    ),
    "deeplabv3_mobilenetv2": Entry(
        build=deeplabv3_mobilenetv2,
        points=(
            Point("backbone.0", 32, 2, 0.003),
            Point("backbone.1", 16, 2, 0.005),
            Point("backbone.2", 24, 4, 0.013),
            Point("backbone.3", 24, 4, 0.019),
            Point("backbone.4", 32, 8, 0.023),
            Point("backbone.5", 32, 8, 0.026),
            Point("backbone.6", 32, 8, 0.028),
            Point("backbone.7", 64, 8, 0.032),
            Point("backbone.8", 64, 8, 0.043),
            Point("backbone.9", 64, 8, 0.053),
            Point("backbone.10", 64, 8, 0.063),
            Point("backbone.11", 96, 8, 0.076),
            Point("backbone.12", 96, 8, 0.099),
            Point("backbone.13", 96, 8, 0.122),
            Point("backbone.14", 160, 8, 0.152),
            Point("backbone.15", 160, 8, 0.214),
            Point("backbone.16", 160, 8, 0.276),
            Point("backbone.17", 320, 8, 0.368),
        ),
        exits=_MOBILENETV2_EXITS,
        knobs={"width": 1.0},
        source="Chen et al. 2017 on Sandler et al. 2018, dilated to stride 8; IOT §3.1",
    ),
    "lenet": Entry(
        build=LeNet,
        points=(
            Point("block1", 6, 2, 0.307),
            Point("block2", 16, 7, 0.852),
        ),
        exits=("block1",),
        knobs={"channels": 1},
        source="LeCun et al. 1998; VIDEO §3.2: it classifies whole images of 28x28",
        head=CLASSIFIER,
    ),
}


def entry(name: str) -> Entry:
    """Look a network up.

    Raises:
        UnknownName: it is neither in the table nor a model of timm.
        BadInput: the file of an own network cannot be used.
    """
    if name in ZOO:
        return ZOO[name]
    if name.startswith(TIMM):
        return Entry(
            build=partial(Backbone, name=name.removeprefix(TIMM)),
            knobs={"channels": 3},
            source="timm's backbone with a feature pyramid (Lin et al. 2017)",
        )
    if is_own(name):
        factory = load_factory(name)
        return Entry(build=factory, knobs=own_knobs(factory), source=name)
    raise UnknownName("model", name, [*ZOO, "timm:NAME", "path/to/file.py:factory"])


def build(name: str, classes: int, /, **knobs: Any) -> nn.Module:
    """Build a network by its name, with random weights.

    Raises:
        UnknownName: there is no such network, or the network lacks a knob.
        BadInput: a knob's value is of the wrong kind or out of range, or an own factory fails or
            makes no module.
    """
    found = entry(name)
    for knob, value in knobs.items():
        if knob not in found.knobs:
            raise UnknownName(f"knob of {name}", knob, found.knobs)
        default = found.knobs[knob]
        kinds = (int, float) if isinstance(default, float) else (type(default),)
        if default is not None and type(value) not in kinds:  # a bool is no number here
            kind = {"int": "a whole number", "float": "a number", "bool": "true or false"}
            raise BadInput(
                f"knob '{knob}' of {name}",
                expected=kind.get(type(default).__name__, f"a {type(default).__name__}"),
                got=repr(value),
            )
    try:
        module = found.build(classes, **knobs)
    except OfframpError:
        raise
    except Exception as error:  # a foreign factory may raise anything, and NaN is a width too
        got = f"{type(error).__name__}: {error}".splitlines()[0]
        raise BadInput(f"{name} cannot be built like that", got=got) from error
    if not isinstance(module, nn.Module):
        raise BadInput(
            f"{name} must make a network", expected="a torch.nn.Module", got=type(module).__name__
        )
    return module


def build_spec(spec: ModelSpec) -> nn.Module:
    """Build the network that `spec` describes, with random weights."""
    return build(spec.name, spec.classes, **spec.knobs)
