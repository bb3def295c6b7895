"""How wide the numbers of an engine are: the same words, and the same meaning, in both."""

import numpy as np

from bioopzo.errors import unknown

PRECISIONS = {"single": np.float32, "double": np.float64}


def checked_precision(precision: object) -> str:
    """A `precision` that there is; `InputError` for any other."""
    if precision not in list(PRECISIONS):  # which may be given what cannot be hashed
        raise unknown("precision", precision, PRECISIONS)
    return str(precision)
