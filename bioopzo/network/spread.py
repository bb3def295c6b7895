"""Parameters that differ: by population, by neuron, by projection.

A parameter is one number, or a `Spread`: its values by object. Neurons have theirs under its own
name (``hidden_1.tau_m``), shared by all neurons of a population or one for each. What text of
another object says of it is one number with a name of its own, `own_name`: ``tau_m_of_hidden_1``.
Synapses read it, the first that there is: of their projection, of the target, of the source.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bioopzo.network.asked import ModelLike
from bioopzo.network.clock import Shape
from bioopzo.network.entries import Projection
from bioopzo.network.objects import (
    Assembly,
    GroupText,
    SynapseText,
    names_used,
    synapse_texts,
    with_right,
)
from bioopzo.text.entries import Entries
from bioopzo.text.equations import identifiers, parse, render, substitute, unit_text


class Spread(Entries[Any]):
    """The values of a parameter by object: a number, or an array, one for each neuron.

    `base` is what all other objects have, `mean` the mean over what reads it.
    """

    def __init__(self, values: Mapping[str, Any], base: Any, mean: Any) -> None:
        super().__init__(values)
        self.base, self.mean = base, mean

    def at(self, name: str) -> Any:
        """The value of the object called `name`."""
        return self.get(name, self.base)

    def one(self, name: str) -> Any:
        """The value of the object called `name` as one number: the mean of an array."""
        value = self.at(name)
        return np.mean(value) if np.ndim(value) else value

    def uneven(self, name: str) -> bool:
        """Whether neurons of the object called `name` have values of their own."""
        return bool(np.ndim(self.at(name)))

    def __eq__(self, other):
        return isinstance(other, Spread) and recorded(self) == recorded(other) \
            and bool(np.all(self.base == other.base))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self):
        return "; ".join(f"{brief(value)} in {name}" for name, value in self.items())


def brief(value: Any) -> str:
    """A value in a few words: an array by its size and range."""
    if not np.ndim(value):
        return str(value)
    return f"{len(value)} values from {np.min(value)} to {np.max(value)}"


def own_name(parameter: str, entry: str) -> str:
    """The name under which others read the `parameter` of one object."""
    return f"{parameter}_of_{entry}"


def own_names(model: ModelLike) -> dict[str, Any]:
    """Every name of a parameter of one object, with its value: one number."""
    return {own_name(name, entry.name): spread.one(entry.name)
            for name, spread in model.spread.items() for entry in model.network.entries}


def values_at(model: ModelLike, name: str) -> dict[str, Any]:
    """Every parameter as the object called `name` reads it."""
    return {**model.parameters, **own_names(model),
            **{key: spread.at(name) for key, spread in model.spread.items()}}


def recorded(spread: Spread) -> dict[str, Any]:
    """The values of a parameter that differs in base units, by object, as JSON holds them."""
    return {name: np.asarray(value, float).tolist() for name, value in spread.items()}


def constants(assembly: Assembly, model: ModelLike, shape: Shape) -> dict[str, Any]:
    """The value of every constant of every object: ``{"hidden_1.tau_m": 0.01, ...}``.

    An array where every neuron has its own.
    """
    special = {"steps": shape.steps, "rows": shape.rows,
               "refractory_period": float(model.refractory), "chunk": 0.0}
    objects: dict[str, GroupText | SynapseText] = {**assembly.groups, **assembly.synapses}
    found: dict[str, Any] = {}
    for name, obj in objects.items():
        values = values_at(model, name) | special
        found.update({f"{name}.{key}": np.array(values[key], float) if np.ndim(values[key])
                      else float(values[key]) for key in obj.constants})
    return found


def in_synapses(model: ModelLike, parameter: str, projection: Projection) -> Any:
    """The value of a `parameter` that synapses read: their own, or their target's neurons'."""
    spread = model.spread.get(parameter)
    if spread is None:
        return float(model.parameters[parameter])
    return np.array(spread.get(projection.name, spread.at(projection.target)), float)


# ---------------------------------------------------------------------------- the text

def declare(assembly: Assembly, model: ModelLike) -> None:
    """Declare parameters that differ where they are, and say in synapses whose they read."""
    for name, spread in model.spread.items():
        unit = unit_text(spread.mean)
        reading = {group.name for group in assembly.groups.values()
                   if name in names_used(group) | set(group.constants)}
        for group in assembly.groups.values():
            own = {line.name for line in parse(group.equations, group.name)}
            if (group.name in reading or group.name in spread) and name not in own:
                group.constants[name] = unit
                flags = "constant" if spread.uneven(group.name) else "shared, constant"
                group.equations += f"\n{name} : {unit} ({flags})"
        for synapse in assembly.synapses.values():
            if name in read_by(synapse):
                rename(synapse, {name: _place(name, spread, synapse, reading)})


def _place(name, spread, synapse, reading):
    """What synapses read a parameter by: their own, else their target's, else their source's."""
    if synapse.name in spread:
        return own_name(name, synapse.name)
    if synapse.target in spread or synapse.target in reading:
        return f"{name}_post"
    if synapse.source in reading:  # one number is read by its own name: its text may be lazy
        return f"{name}_pre" if spread.uneven(synapse.source) else own_name(name, synapse.source)
    return own_name(name, synapse.name)


def rename(synapse: SynapseText, names: Mapping[str, str]) -> None:
    """Replace names on every right-hand side of a synapse object."""
    def renamed(text):
        return render(with_right(x, substitute(x.right, names)) for x in parse(text))

    synapse.equations = renamed(synapse.equations)
    synapse.pathways = [replace(p, text=renamed(p.text)) for p in synapse.pathways]
    synapse.codes = [replace(c, text=renamed(c.text)) for c in synapse.codes]


def read_by(synapse: SynapseText) -> set[str]:
    """Every word that the text of a `synapse` reads and does not define."""
    own = {line.name for line in parse(synapse.equations, synapse.name)}
    return set().union(*map(identifiers, synapse_texts(synapse))) - own
