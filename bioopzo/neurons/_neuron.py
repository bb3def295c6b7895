"""What a neuron's file returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bioopzo.errors import InputError
from bioopzo.network.blocks import unknown_blocks
from bioopzo.network.table import layered
from bioopzo.neurons._leaky import LEAKY
from bioopzo.text.entries import Entries
from bioopzo.text.equations import defines, parse

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
    parameters: Mapping[str, object] = field(default_factory=dict)
    reference: str = ""

    def __post_init__(self):
        object.__setattr__(self, "blocks", Entries(self.blocks))
        object.__setattr__(self, "parameters", Entries(self.parameters))

    @property
    def state(self):
        """The variables that change by a differential equation: they go on between trials."""
        return tuple(line.name for line in parse(self.blocks["hidden"])
                     if line.kind == "differential")

    def has(self, name):
        """Whether the neuron has a variable called `name`."""
        return defines(self.blocks["hidden"], name)


def check(made):
    """Refuse a neuron with a block that nothing reads, or without one that the network needs."""
    problem = unknown_blocks(made.blocks, layered((1, 1, 1)))
    if problem:
        raise problem
    for name in made.blocks:
        if name.split(".")[0] != "hidden":
            raise InputError(f"a neuron's blocks are those of every hidden layer, not {name!r}")
    for name in ("hidden", "hidden.step", "hidden.threshold"):
        if name not in made.blocks:
            raise InputError(f"a neuron needs a block {name!r}")


def check_pair(neuron, rule):
    """Raise `InputError` where a `rule` would replace, unseen, what a `neuron` has under that name.

    A rule may write psi and what belongs to the decision to spike, and the membrane and trace of a
    leaky neuron; a variable or parameter of the neuron's own it may not.
    """
    for name in rule.parameters:
        if name in neuron.parameters:
            raise _clash("parameter", name, neuron, rule)
    leaky = {line.name: line for line in parse(LEAKY)}
    own = {line.name for line in parse(neuron.blocks["hidden"])
           if line.name not in _SHARED and line != leaky.get(line.name)}
    for block, text in rule.blocks.items():
        if block.startswith("hidden") and "." not in block:
            for line in parse(text, block):
                if line.name in own:
                    raise _clash("variable", line.name, neuron, rule)


def _clash(kind, name, neuron, rule):
    return InputError(f"neuron {neuron.name} and rule {rule.name} both have a {kind} {name!r}, and "
                      "one would replace the other: give it another name in one of the two files")
