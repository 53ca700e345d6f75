"""Images on their way through the exits of a plan, as cards side by side."""

from collections.abc import Sequence

from offramp.report.page import Card, Markup, cards, heading, legend
from offramp.report.pictures import Answer, Walk
from offramp.report.words import percent

_KIND = {
    "easy": "An easy image: it stops at the first exit",
    "hard": "A hard image: it goes to the last exit",
    "typical": "A typical image",
}
_BADGE = {"stop": "the plan's answer", "passed": "goes on", "unread": "not computed by the plan"}


def gallery(
    walks: Sequence[Walk], names: Sequence[str], palette: Sequence[tuple[int, int, int]]
) -> list[Markup | str]:
    """Lay out the walks, each with its input, truth and answers."""
    colours = [(name, "#" + bytes(rgb).hex()) for name, rgb in zip(names, palette, strict=True)]
    parts: list[Markup | str] = [
        "Chosen by the trace, not by eye: of the images that stop there and show the most "
        "classes, the one whose mIoU is the median. What comes after the plan's answer is never "
        "computed; it is shown for comparison.",
        legend(colours),
    ]
    for walk in walks:
        parts.append(heading(f"{_KIND[walk.example.kind]} ({walk.name})"))
        shown = [Card(walk.image, "input"), Card(walk.truth, "truth")]
        parts.append(cards([*shown, *(_answer(answer) for answer in walk.answers)]))
    return parts


def _answer(answer: Answer) -> Card:
    lines = [f"mIoU of this image {percent(answer.miou, 1)}"]
    if answer.score is not None and answer.threshold is not None:
        lines.append(f"score {answer.score:.3f}, threshold {answer.threshold:.3f}")
    return Card(answer.picture, answer.name, lines, _BADGE[answer.role], answer.role)
