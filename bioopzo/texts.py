"""Small texts that combine with any rule: each takes a model and returns it with lines more.

What they add is text of the blocks, to be read, edited and checked as any other; under another rule
(`Model.replace`) it stays.
"""

from brian2.units import Hz, second
from brian2.units.fundamentalunits import Quantity

from bioopzo.errors import InputError
from bioopzo.model import Model
from bioopzo.text.equations import defines

__all__ = ["rate_homeostasis", "weight_decay"]


def __dir__():
    return __all__


def rate_homeostasis(model: Model, target: Quantity = 20 * Hz, strength: float = 0.003,
                     tau: Quantity = 1 * second) -> Model:
    """The `model` with hidden neurons that hold their firing rate near `target`.

    Each keeps `usual`, the mean of its rate over `tau` of training; between two trials all weights
    onto it change by `strength` times what is missing, as a share of the target:

        w += scaling*(1 - usual_post/target_rate)

    The parameters are `target_rate`, `scaling` and `tau_usual`. Raises `InputError` where no hidden
    neuron spikes by the variable S.

    Source: synaptic scaling, Turrigiano et al. 1998, Nature 391, 892-896, by sums in place of
    products, so that weights of both signs let a neuron fire more.

    Examples
    --------
    >>> model = bz.texts.rate_homeostasis(bz.Model([64, 32, 10], rule="rstdp"), target=30*Hz)
    """
    if not defines(model.blocks.get("hidden.step", ""), "S"):
        raise InputError("rate_homeostasis reads S of hidden neurons, which is set in block "
                         "'hidden.step', and this model sets none there")
    return _with(model, {
        "hidden": "usual : Hz",
        "hidden.step": "usual += (S/dt - usual)*dt/tau_usual",
        "forward.trial": "w += scaling*(1 - usual_post/target_rate)",
    }, target_rate=target, scaling=strength, tau_usual=tau)


def weight_decay(model: Model, share: float = 1e-4) -> Model:
    """The `model` whose weights lose a `share` of themselves between two trials.

    The parameter is `lost`. Raises `InputError` for a value that cannot be used.
    """
    return _with(model, {"forward.trial": "w -= lost*w", "forward_readout.trial": "w -= lost*w"},
                 lost=share)


def _with(model, lines, **parameters):
    """The model with lines more at the end of blocks; refused where they are there already."""
    changes = {}
    for block, line in lines.items():
        there = model.blocks.get(block, "")
        if line in there.splitlines():
            raise InputError(f"{block} has the line {line!r} already: change its parameters with "
                             "model.edit(...)")
        if block.partition(".")[0] in {kind for e in model.network.entries for kind in e.blocks}:
            changes[block] = f"{there}\n{line}".strip()
    return model.edit(changes, **parameters)
