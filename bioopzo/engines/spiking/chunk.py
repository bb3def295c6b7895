"""What goes into a stretch of trials and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Chunk:
    """What one stretch of trials needs: `tables` hold rows in the order of presentation."""

    trials: int
    state: Mapping[str, np.ndarray]
    constants: Mapping[str, float]
    tables: Mapping[str, np.ndarray]
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What comes out: the state, and readings at each trial start (so of the trial before)."""

    state: dict[str, np.ndarray]
    decision: np.ndarray
    cost: np.ndarray
