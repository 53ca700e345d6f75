"""Q-learning of tables by episodes over the calibration images (VIDEO §3.5.3, §4.2.6).

An episode shows one image: exit by exit the agent sees the bin and stops or goes on. VIDEO
trains "a model-free reinforcement agent on the tabular states", with an ε-greedy policy that
explores throughout training and exploits after it (its ε counts the greedy share: 0 while
training, 1 afterwards). It gives no learning rate and no number of episodes.

Kept: blind exploration while learning, then greed. It is more than VIDEO's habit. What comes to
an exit then does not depend on what is learned meanwhile, so values converge, and to a known
limit: `exact.induction` of the same states. (Where stopping and going on are worth about the
same in that problem, learning may decide either way. This costs nothing there, though the images
themselves may get more or less by it.) With less exploration late values are learned on what the
present greedy policy lets through, a population that moves as values move.

Chosen here: a state-action pair's k-th update has rate k^-0.8, between k^-1, whose averages
never quite forget the values that were bootstrapped from an unlearned next exit, and a constant,
which never settles (Even-Dar and Mansour 2003 on such polynomial rates, of which they favour
exponents near this one). Each pass shows every image once, in a drawn order, which estimates
means with less noise than drawing images. An episode's steps are learned last to first, so a
reward reaches its first exit at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offramp.core.errors import BadInput
from offramp.policies.calibration import Floats
from offramp.policies.tabular import Solution, States

STOP, GO = 0, 1

State = tuple[int, int]
"""Index of the exit, and joint bin."""


@dataclass(frozen=True)
class Schedule:
    """How long to learn, how boldly, how fast.

    Attributes:
        passes: how often each image is shown.
        explore: chance ε of an action drawn blindly, in the first and in the last pass; linear
            in between.
        forget: exponent ω of the learning rate k^-ω of a pair's k-th update, from ½ to 1.
    """

    passes: int = 200
    explore: tuple[float, float] = (1.0, 1.0)
    forget: float = 0.8

    def __post_init__(self) -> None:
        if self.passes < 1:
            raise BadInput("passes", expected="at least 1", got=str(self.passes))
        if not all(0 <= chance <= 1 for chance in self.explore):
            raise BadInput("explore", expected="two chances", got=str(self.explore))
        if not 0.5 < self.forget <= 1:
            raise BadInput("forget", expected="over 0.5, at most 1", got=str(self.forget))


class Environment:
    """Shows one image at a time, exit by exit."""

    def __init__(self, states: States) -> None:
        self._bins: list[list[int]] = states.bins.T.tolist()  # N×(E−1)
        self._rewards: list[list[float]] = states.rewards.T.tolist()  # N×E
        self._sizes = states.sizes
        self._image, self._exit = 0, 0

    def reset(self, image: int) -> State | None:
        """Begin an episode; nothing to decide if there is but one exit."""
        self._image, self._exit = image, 0
        return self._state()

    def may_stop(self) -> bool:
        """Tell whether the scores here are numbers; otherwise the image can only go on."""
        return self._bins[self._image][self._exit] < self._sizes[self._exit]

    def step(self, action: int) -> tuple[State | None, float]:
        """Stop or go on.

        Returns:
            The next state, none when the episode is over, and the reward. Going on from the last
            early exit ends at the last exit, which answers.
        """
        if action == STOP:
            return None, self._rewards[self._image][self._exit]
        self._exit += 1
        state = self._state()
        return state, 0.0 if state else self._rewards[self._image][self._exit]

    def _state(self) -> State | None:
        if self._exit == len(self._sizes):
            return None
        return self._exit, self._bins[self._image][self._exit]


def learn(
    states: States,
    rng: np.random.Generator,
    schedule: Schedule = Schedule(),
) -> Solution:
    """Learn values by episodes, and stop where stopping is then worth as much as going on."""
    learner = _Learner(states.sizes, schedule.forget)
    environment = Environment(states)
    images, depth = states.rewards.shape[1], len(states.sizes)
    for epsilon in np.linspace(*schedule.explore, schedule.passes):
        order = rng.permutation(images).tolist()
        blind = (rng.random((images, depth)) < epsilon).tolist()
        drawn = rng.integers(0, 2, (images, depth)).tolist()
        for image, blindly, actions in zip(order, blind, drawn, strict=True):
            learner.episode(environment, image, blindly, actions)
    return Solution.of(states, learner.table())


class _Learner:
    """Values of state-action pairs, and how often each was updated."""

    def __init__(self, sizes: Sequence[int], forget: float) -> None:
        # One row more than bins: scores that are no numbers, where only going on has a value.
        self._values = [[[0.0, 0.0] for _ in range(size + 1)] for size in sizes]
        self._visits = [[[0, 0] for _ in range(size + 1)] for size in sizes]
        self._forget = forget

    def episode(
        self, environment: Environment, image: int, blindly: list[bool], actions: list[int]
    ) -> None:
        """Walk one image to where it stops, and learn from each step, the last one first."""
        steps: list[tuple[State, int]] = []
        state, reward = environment.reset(image), 0.0
        while state is not None:
            index, _ = state
            if not environment.may_stop():
                action = GO
            else:
                action = actions[index] if blindly[index] else self._greedy(state)
            steps.append((state, action))
            state, reward = environment.step(action)
        target = reward
        for (index, place), action in reversed(steps):
            self._visits[index][place][action] += 1
            rate = self._visits[index][place][action] ** -self._forget
            self._values[index][place][action] += rate * (
                target - self._values[index][place][action]
            )
            target = self._worth((index, place))

    def table(self) -> list[Floats]:
        """Give values of the bins, bins×2 for each exit; no numbers for pairs never tried."""
        return [
            np.where(np.array(visits)[:-1] > 0, np.array(values)[:-1], np.nan)
            for values, visits in zip(self._values, self._visits, strict=True)
        ]

    def _greedy(self, state: State) -> int:
        stopping, going = self._values[state[0]][state[1]]
        return STOP if stopping >= going else GO

    def _worth(self, state: State) -> float:
        """Value a state by the better of the actions tried there so far."""
        index, place = state
        tried = zip(self._values[index][place], self._visits[index][place], strict=True)
        return max(value for value, visits in tried if visits)
