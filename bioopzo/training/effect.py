"""Which learning rates have an effect under an optimiser."""

from collections.abc import Mapping
from typing import Any

from bioopzo.model import Model
from bioopzo.network.draft import text_of
from bioopzo.text.equations import parse
from bioopzo.text.symbols import as_sympy
from bioopzo.training.train import ENGINES


def without_effect(engine: str, settings: Mapping[str, Any], model: Model) -> set[str]:
    """The learning rates of a `model` that have no effect with such `settings` of an `engine`.

    Under an optimiser that divides changes by their size, where all of a change has the rate: a
    decay beside it makes the rate a ratio.
    """
    if engine != "rate" or not ENGINES[engine].settings(
            **settings).chosen_optimizer().scale_free:
        return set()
    return {"eta", "eta_o", "eta_final"} if all(map(_is_of_a_rate, (
        line for p in model.network.projections for moment in ("", "trial")
        for line in parse(text_of(model.blocks, p, moment))
        if line.name == "w" and line.right))) else set()


def _is_of_a_rate(line):
    """Whether all that a line asks of a weight is proportional to eta or eta_o."""
    change = as_sympy(line.right)
    rates = [one for one in change.free_symbols if str(one) in ("eta", "eta_o")]
    twice = change.subs({rate: 2 * rate for rate in rates}, simultaneous=True)
    return bool(rates) and (twice - 2 * change).expand() == 0
