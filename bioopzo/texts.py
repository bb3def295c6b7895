"""Small texts that combine with any rule: each takes a model and returns it with lines more.

What they add is text of the blocks, to be read, edited and checked as any other; under another rule
(`Model.replace`) it stays, or is refused.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from brian2.units import Hz, second
from brian2.units.fundamentalunits import Quantity

from bioopzo.errors import InputError, unknown
from bioopzo.model import Model
from bioopzo.network.draft import text_of
from bioopzo.text.equations import defines, linear, parse, render

__all__ = ["rate_homeostasis", "silence", "weight_decay"]
#: The parameter of silenced neurons: 1 for those that are not.
INTACT = "intact"


def __dir__():
    return __all__


def rate_homeostasis(model: Model, target: Quantity = 20 * Hz, strength: float = 0.003,
                     tau: Quantity = 1 * second) -> Model:
    """The `model` with hidden neurons that hold their firing rate near `target`.

    Each keeps `usual`, the mean of its rate over `tau` of training; between two trials all weights
    onto it change by `strength` times what is missing, as a share of the target:

        w = w + scaling*(1 - usual_post/target_rate)

    It is set, not learned: no optimiser changes its size. Weights that do not learn stay. The
    parameters are `target_rate`, `scaling` and `tau_usual`. Raises `InputError` where no hidden
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
        "forward.trial": "w = w + scaling*(1 - usual_post/target_rate)",
    }, target_rate=target, scaling=strength, tau_usual=tau)


def weight_decay(model: Model, share: float = 1e-4) -> Model:
    """The `model` whose forward weights lose a `share` of themselves between two trials.

    They are set, not learned: no optimiser changes how much. Weights that do not learn, those of
    readouts of single layers and feedback stay. The parameter is `lost`. Raises `InputError` for a
    value that cannot be used.
    """
    return _with(model, {"forward.trial": "w = (1 - lost)*w",
                         "forward_readout.trial": "w = (1 - lost)*w"}, lost=share)


def silence(model: Model, population: str, neurons: Any = None) -> Model:
    """The `model` with neurons of a hidden `population` that are silent, and whose psi is 0.

    `neurons` are indices, default all. They have a parameter of their own, `intact`, an array of 0
    and 1, which stands before what they send and before psi:

        S = intact*(int(rand() < chance))

    A membrane that would run away without its spikes is held at 0. Under rules that teach through
    psi they learn nothing; what weights onto them do under others, and a decay of weights, has no
    effect, for they send nothing. The text is that of this rule and neuron: `Model.replace` refuses
    others, and settings, with another psi. Raises `InputError` for an unknown population, for
    neurons that it has not, and where no S decides on its spikes.
    """
    hidden = {one.name: one for one in model.network.hidden}
    if not isinstance(population, str) or population not in hidden:
        raise unknown("hidden population", population, hidden)
    one = hidden[population]
    spread = model.spread.get(INTACT)
    intact = np.ones(one.size) * (1.0 if spread is None else spread.at(population))
    intact[_indices(population, one.size, neurons)] = 0
    before = model.given.get(INTACT)
    given = dict(before) if isinstance(before, Mapping) else {}
    values = {**given, population: intact}
    if spread is not None and population in given:  # its text is there already
        return model.edit({INTACT: values})
    equations, steps = (parse(text_of(model.blocks, one, moment)) for moment in ("", "step"))
    if not any(line.name == "S" for line in steps):
        raise InputError(f"silence stands before S, the decision of neurons to spike, and the text "
                         f"of {population} sets none in its block 'step'")
    changes: dict[str, Any] = {
        population: _gated(model, population, equations, "psi"),
        f"{population}.step": _gated(model, f"{population}.step", steps, "S"),
        f"{population}.sample": _gated(model, f"{population}.sample", parse(
            text_of(model.blocks, one, "sample")), "psi")}
    membrane = next((line for line in equations if line.name == "u"), None)
    if membrane and membrane.kind == "differential" and not linear(membrane, equations):
        changes[f"{population}.step"] += f"\nu = {INTACT}*u"
    for projection in model.network.out_of(population):
        spikes = parse(text_of(model.blocks, projection, "spike"))
        if model.rule.perturbs and spikes:  # what is added to spikes is silent, too
            changes[f"{projection.name}.spike"] = render(
                replace(line, right=f"sends_pre*({line.right})") for line in spikes)
            if "sends =" not in changes[population]:
                changes[population] += f"\nsends = {INTACT} : 1"
    return model.edit({key: text for key, text in changes.items() if text}, intact=values)


def _gated(model, block, lines, name):
    """The block of one population's own, with `intact` before what is called `name` in `lines`."""
    gated = [replace(line, right=f"{INTACT}*({line.right})") for line in lines
             if line.name == name and line.right]
    own = [line for line in parse(model.blocks.get(block, "")) if line.name != name]
    return render([*own, *gated]) if gated else ""


def _indices(population, size, neurons):
    """Indices of neurons of a population, checked; all for None."""
    if neurons is None:
        return np.arange(size)
    found = np.atleast_1d(np.asarray(neurons))
    if found.dtype.kind not in "iu" or found.ndim != 1 or not found.size \
            or found.min() < 0 or found.max() >= size:
        raise InputError(f"neurons of {population} are indices from 0 to {size - 1}, not "
                         f"{neurons!r:.80}")
    return found


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
