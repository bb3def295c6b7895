"""What goes into a stretch of trials and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bioopzo.network.watched import places_in


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
    """What comes out: the state at the end, and the readings of every trial.

    `recorded` holds the values (trials, steps, what is selected ...) of what was to be recorded.
    """

    state: dict[str, np.ndarray]
    decision: np.ndarray
    cost: np.ndarray
    recorded: list[np.ndarray] = field(default_factory=list)


def readings(state, decision, cost):
    """(decision, cost) of every trial, from what was read at each trial's start.

    That is the reading of the trial before; the last one's still stands in the state.
    """
    return tuple(np.vstack([values[1:], state[name][None]]) for values, name in (
        (decision, "readout.decision"), (cost, "error.cost")))


def spread_out(record, connections, steps, values):
    """What was recorded of what there is, (trials*steps, n) each, in the shape of what is selected.

    `record` are `network.watched.Watched`, `connections` maps projections to theirs. Pairs of
    neurons without a synapse have 0.
    """
    found = []
    for one, table in zip(record, values):
        _, there = places_in(one, connections.get(one.owner))
        whole = table
        if not there.all():
            whole = np.zeros((len(table), len(there)), table.dtype)
            whole[:, there] = table
        found.append(whole.reshape(-1, steps, *one.shape))
    return found
