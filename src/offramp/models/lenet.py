"""LeNet-5 (LeCun et al. 1998) with ReLU and max pooling, for images of 28×28.

    image ─ block1 12×12 ─ block2 4×4 ─ classifier 1×1

A classification is a segmentation with one cell.
"""

from torch import Tensor, nn

from offramp.core.errors import BadInput

SIDE = 28
"""Height and width of the images in pixels; the classifier fits no other."""


class LeNet(nn.Module):
    """Map N×D×28×28 to logits N×C×1×1.

    Args:
        classes: number of classes C.
        channels: channels D of the image.

    Raises:
        BadInput: there are no classes, or the image has no channels.
    """

    def __init__(self, classes: int = 10, *, channels: int = 1) -> None:
        super().__init__()
        if classes < 1 or channels < 1:
            raise BadInput(
                "lenet cannot be that small",
                expected="classes and channels from 1",
                got=f"classes={classes}, channels={channels}",
            )
        self.block1 = nn.Sequential(nn.Conv2d(channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2))
        self.block2 = nn.Sequential(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(256, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, classes),
            nn.Unflatten(1, (classes, 1, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map N×D×28×28 to N×C×1×1."""
        return self.classifier(self.block2(self.block1(x)))
