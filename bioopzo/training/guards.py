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

    `when` says in which trial it was, `rates` which learning rates are to be made smaller; empty
    where the same happens without any learning.
    """
    where = np.argwhere(~np.isfinite(values))[0]
    return NonFiniteError(
        f"{name} became {values[tuple(where)]} at index {', '.join(map(str, where))} {when}; "
        f"{_advice(rates)}. {KEPT}")


def check_loss(loss: float, trials: int) -> None:
    """Refuse a held-out loss that is not finite: weights may be finite and yet too large."""
    if not np.isfinite(loss):
        advice = _advice("the optimizer's, or eta and eta_o" if trials else "")
        raise NonFiniteError(f"the held-out loss became {loss} after {trials} trials; {advice}. "
                             f"{KEPT}")


def _advice(rates):
    """What to do about a value that is not finite."""
    if rates:
        return f"a smaller learning rate ({rates}) usually helps"
    return ("nothing was learned before, so no learning rate is to blame: a line of the text "
            "overflows or divides by 0, or a parameter's value makes it do so")
