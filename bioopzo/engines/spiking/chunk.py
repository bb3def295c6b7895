"""What goes into a stretch of trials and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Chunk:
    """What one stretch of trials needs: `tables` hold rows in the order of presentation.

    Its random numbers are in the tables, too: every trial has its key.
    """

    trials: int
    state: Mapping[str, np.ndarray]
    constants: Mapping[str, float]
    tables: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """What comes out: the state at the end, and the readings of every trial."""

    state: dict[str, np.ndarray]
    decision: np.ndarray
    cost: np.ndarray


def readings(state, decision, cost):
    """(decision, cost) of every trial, from what was read at each trial's start.

    That is the reading of the trial before; the last one's still stands in the state.
    """
    return tuple(np.vstack([values[1:], state[name][None]]) for values, name in (
        (decision, "readout.decision"), (cost, "error.cost")))
