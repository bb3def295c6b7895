"""Trials as the arrays that the rate engine reads."""

import numpy as np

from bioopzo.network.clock import masks_of


def presented(task):
    """Inputs and targets of a task as the engine takes them, by sample indices."""
    inputs, targets = task.inputs, task.targets.astype(np.float32)
    if targets.ndim == 3 or task.in_time:
        return _InTime(inputs, task.in_time), _InTime(targets, targets.ndim == 3)
    return inputs, targets


class Masks:
    """Which of a task's masks each of some samples has; None where all have the same."""

    def __init__(self, task):
        self.numbers = masks_of(task)[1]

    def __getitem__(self, samples):
        return None if self.numbers is None else self.numbers[samples]


class _InTime:
    """Samples as arrays with time first, (steps, batch, n), where they have a time axis."""

    def __init__(self, values, in_time):
        self.values, self.in_time = values, in_time

    def __getitem__(self, samples):
        found = self.values[samples]
        return np.moveaxis(found, 1, 0) if self.in_time else found
