"""A camera that is drawn: coloured shapes that move over a still ground, at a steady rate.

It is for trying things out and for measuring many cameras where there is none. Frame k is the
same in every run; a reader that comes late misses frames, as with a real camera.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np

from offramp.data.images import Array
from offramp.video.address import Scene
from offramp.video.picture import Picture

SHAPES = 6
LONGEST_READ_S = 0.5


class SyntheticStream:
    """The drawn camera as a stream.

    Args:
        scene: its size, rate and seed.
        clock: seconds that only go forward.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        scene: Scene,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.fps: float | None = scene.fps
        self._fps = scene.fps
        self._drawing = Drawing(scene)
        self._clock = clock
        self._sleep = sleep
        self._start = clock()
        self._next = 0

    def read(self) -> Sequence[Picture]:
        """Wait for the next frame; for half a second at most."""
        ahead = self._start + self._next / self._fps - self._clock()
        if ahead > 0:
            self._sleep(min(ahead, LONGEST_READ_S))
        if ahead > LONGEST_READ_S:
            return ()
        # The newest frame whose time has come: those before it are missed.
        number = max(self._next, int((self._clock() - self._start) * self._fps))
        self._next = number + 1
        return (_Drawn(self._drawing, number, number / self._fps),)

    def close(self) -> None:
        """Nothing is held."""


class Drawing:
    """Draws frame k of a scene.

    Args:
        scene: its size and seed.
    """

    def __init__(self, scene: Scene) -> None:
        rng = np.random.default_rng(scene.seed)
        self.size = (scene.width, scene.height)
        across = np.linspace(0.0, 1.0, scene.width)[None, :, None]
        down = np.linspace(0.0, 1.0, scene.height)[:, None, None]
        corner = rng.uniform(40, 160, (3, 3))
        ground = corner[0] + across * (corner[1] - corner[0]) + down * (corner[2] - corner[0])
        self._ground: Array = ground.clip(0, 255).astype(np.uint8)  # H×W×3
        self._colours = rng.integers(0, 256, (SHAPES, 3), dtype=np.uint8)
        side = min(self.size)
        self._sides = rng.integers(max(2, side // 10), max(3, side // 3), (SHAPES, 2))  # x, y
        self._starts = rng.uniform(0, 2, (SHAPES, 2))
        self._speeds = rng.uniform(0.003, 0.02, (SHAPES, 2))  # of the way, each frame

    def draw(self, number: int) -> Array:
        """Draw a frame; uint8 RGB H×W×3."""
        image = self._ground.copy()
        # Each shape goes to and fro between the borders.
        ways = 1.0 - np.abs((self._starts + number * self._speeds) % 2.0 - 1.0)  # SHAPES×2
        corners = (ways * (np.array(self.size) - self._sides)).astype(int)
        for (x, y), (width, height), colour in zip(
            corners, self._sides, self._colours, strict=True
        ):
            image[y : y + height, x : x + width] = colour
        return image


class _Drawn:
    """A frame that is drawn when it is wanted."""

    corrupt = False

    def __init__(self, drawing: Drawing, number: int, time_s: float) -> None:
        self._drawing = drawing
        self._number = number
        self.time_s: float | None = time_s
        self.size = drawing.size

    def rgb(self) -> Array:
        return self._drawing.draw(self._number)
