"""The Markov problem of the counts, by pushing a distribution over images forward."""

import numpy as np

from offramp.policies.tabular import States


def promised(states: States, stop: list[np.ndarray]) -> float:
    """Value tables in the Markov problem: push a distribution over bins forward, by counts."""
    images = states.rewards.shape[1]
    weight = np.full(images, 1 / images)  # spread evenly over the images of each state
    earned = 0.0
    for index, decisions in enumerate(stop):
        stopping = np.append(decisions, False)[states.bins[index]]
        earned += float((weight * states.rewards[index])[stopping].sum())
        weight = np.where(stopping, 0, weight)
        if index + 1 < len(stop):
            following = states.bins[index + 1]
            for place in np.unique(following):
                weight[following == place] = weight[following == place].mean()
    return earned + float((weight * states.rewards[-1]).sum())
