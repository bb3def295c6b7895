"""Guards: a run stops at the first value that is not finite, and says which it is."""

from collections.abc import Mapping

import numpy as np

from bioopzo.errors import NonFiniteError

#: State variables that are learned.
LEARNED = ("w", "M", "B")
KEPT = "What was done so far is in .run, marked incomplete"


def not_finite(state: Mapping[str, np.ndarray]) -> str | None:
    """The name of an array that is not finite, or None; weights first, for they are the cause."""
    for name in sorted(state, key=lambda n: n.rpartition(".")[2] not in LEARNED):
        if state[name].dtype.kind == "f" and not np.isfinite(state[name]).all():
            return name
    return None


def stopped(name: str, values: np.ndarray, when: str, rates: str) -> NonFiniteError:
    """The `NonFiniteError` that names the first value that is not finite.

    `when` says in which trial it was, `rates` which learning rates are to be made smaller.
    """
    where = np.argwhere(~np.isfinite(values))[0]
    return NonFiniteError(
        f"{name} became {values[tuple(where)]} at index {', '.join(map(str, where))} {when}; "
        f"a smaller learning rate ({rates}) usually helps. {KEPT}")


def check_loss(loss: float, trials: int) -> None:
    """Refuse a held-out loss that is not finite: weights may be finite and yet too large."""
    if not np.isfinite(loss):
        raise NonFiniteError(f"the held-out loss became {loss} after {trials} trials; a smaller "
                             f"learning rate usually helps. {KEPT}")
