"""Which of the things that a data set has to learn from are trained with, which validated."""

import numpy as np

from bioopzo.errors import InputError

SPLIT_SEED = 0


def drawn_apart(where: str, things: str, samples: int | None, validation: int, count: int
                ) -> tuple[np.ndarray, np.ndarray]:
    """Which of `count` things are trained with, and which validated: numbers, in two arrays.

    They are the start and the end of one fixed permutation; `samples` None: all that are left.
    Raises `InputError`, which names the `things`, where there are too few.
    """
    needed = (samples or 1) + validation
    if needed > count:
        raise InputError(f"{where}: samples={samples} and validation={validation} need {needed} "
                         f"training {things}, but there are {count}")
    order = np.random.RandomState(SPLIT_SEED).permutation(count)
    last = count - validation
    return order[:last if samples is None else samples], order[last:]
