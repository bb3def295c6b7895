"""Trials as the arrays that the rate engine reads."""

import numpy as np


def presented(task):
    """Inputs and targets of a task as the engine takes them, by sample indices."""
    inputs, targets = task.inputs, task.targets.astype(np.float32)
    if targets.ndim == 3 or task.coding == "spikes":
        return _InTime(inputs, task.coding == "spikes"), _InTime(targets, targets.ndim == 3)
    return inputs, targets


class _InTime:
    """Samples as arrays with time first, (steps, batch, n), where they have a time axis."""

    def __init__(self, values, in_time):
        self.values, self.in_time = values, in_time

    def __getitem__(self, samples):
        found = self.values[samples]
        return np.moveaxis(found, 1, 0) if self.in_time else found
