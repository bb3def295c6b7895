"""What a neuron's file returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bioopzo.errors import InputError
from bioopzo.network.blocks import unknown_blocks
from bioopzo.network.layers import layered
from bioopzo.neurons._leaky import LEAKY
from bioopzo.text.entries import Entries
from bioopzo.text.equations import defines, parse
from bioopzo.text.parameters import Parameter
from bioopzo.text.written import check_written

#: What rules may write in place of the neuron's own: the decision to spike and its derivative.
_SHARED = {"p", "rho", "psi", "slope", "S", "chance"}


@dataclass(frozen=True)
class Neuron:
    """A neuron: the text of a hidden layer, whatever the network and the rule.

    `name` is that of its file, `summary` says in one line what it is; `source` is short,
    `reference` the full entries of what to cite, an empty line between two. `blocks` maps
    ``"hidden"``, ``"hidden.reset"``, ``"hidden.trial"`` ... to text: the membrane u, which gets the
    current `drive` and to which spikes add their weight, the trace xbar of its own spikes, the
    decision S to spike, and psi, the surrogate derivative that most rules read; a hazard rho and
    its greatest slope where it has them. `parameters` maps a name to a `Parameter`.
    """

    name: str
    summary: str
    source: str
    blocks: Mapping[str, str]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    reference: str = ""

    def __post_init__(self):
        object.__setattr__(self, "blocks", Entries(self.blocks))
        object.__setattr__(self, "parameters", Entries(self.parameters))

    @property
    def state(self) -> tuple[str, ...]:
        """The variables that change by a differential equation: they go on between trials."""
        return tuple(line.name for line in parse(self.blocks["hidden"])
                     if line.kind == "differential")

    def has(self, name: str) -> bool:
        """Whether the neuron has a variable called `name`."""
        return defines(self.blocks["hidden"], name)


def check(made: Neuron) -> None:
    """Refuse a neuron with a block that nothing reads, or without one that the network needs."""
    check_written(made)
    problem = unknown_blocks(made.blocks, layered((1, 1, 1)))
    if problem:
        raise problem
    for name in made.blocks:
        if name.split(".")[0] != "hidden":
            raise InputError(f"a neuron's blocks are those of every hidden layer, not {name!r}")
    for name in ("hidden", "hidden.step", "hidden.threshold"):
        if name not in made.blocks:
            raise InputError(f"a neuron needs a block {name!r}")


def check_pair(neuron: Neuron, rule: Any) -> None:
    """Raise `InputError` where a `rule` would replace, unseen, what a `neuron` has under that name.

    `rule` is a `rules.Rule`. It may write psi and what belongs to the decision to spike, and the
    membrane and trace of a leaky neuron; a variable or parameter of the neuron's own it may not.
    """
    for name in rule.parameters:
        if name in neuron.parameters:
            raise _clash("parameter", name, neuron, rule)
    own = _own(neuron)
    for block, text in rule.blocks.items():
        if block.startswith("hidden") and "." not in block:
            for line in parse(text, block):
                if line.name in own:
                    raise _clash("variable", line.name, neuron, rule)


def is_leaky(neuron: Neuron) -> bool:
    """Whether a `neuron` is a leaky membrane with its trace, and differs only in how it spikes."""
    return not _own(neuron)


def _own(neuron):
    """The variables of a neuron that a leaky one has not, or not so."""
    leaky = parse(LEAKY)
    return {line.name for line in parse(neuron.blocks["hidden"])
            if line.name not in _SHARED and line not in leaky}


def _clash(kind, name, neuron, rule):
    return InputError(f"neuron {neuron.name} and rule {rule.name} both have a {kind} {name!r}, and "
                      "one would replace the other: give it another name in one of the two files")
