"""What a neuron's file returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bioopzo.errors import InputError
from bioopzo.network.blocks import unknown_blocks
from bioopzo.network.layers import layered
from bioopzo.neurons._leaky import LEAKY
from bioopzo.text.entries import Entries
from bioopzo.text.equations import defines, parse, tree
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

    What its synapses need of it (`network.words`): `synapse` are equations of a synapse onto it
    that define ``sensitivity``, how the weight moves the neuron's distance from its `threshold`
    (an expression); without any it is xbar_pre. `receives` says what a spike raises in it, variable
    -> amount in terms of w. `trace` are lines of a trace that its sources keep for its synapses:
    equations (``""``), statements at a ``"spike"``, and equations where a source is a constant
    current x (``"current"``).
    """

    name: str
    summary: str
    source: str
    blocks: Mapping[str, str]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    reference: str = ""
    synapse: str = ""
    receives: Mapping[str, str] = field(default_factory=lambda: {"u": "w"})
    trace: Mapping[str, str] = field(default_factory=dict)
    threshold: str = "theta"

    def __post_init__(self):
        for name in ("blocks", "parameters", "receives", "trace"):
            object.__setattr__(self, name, Entries(getattr(self, name)))

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
    _check_synapse(made)


def _check_synapse(made):
    """Refuse what a neuron says of its synapses where it would not be read."""
    if made.synapse and not defines(made.synapse, "sensitivity"):
        raise InputError("the synapse of a neuron defines sensitivity, as in "
                         f"'sensitivity = xbar_pre : 1', and this one has {made.synapse!r}")
    if not made.receives or not (made.receives == {"u": "w"}
                                 or all(made.has(name) for name in made.receives)):
        raise InputError("receives names variables of the neuron that spikes raise, as in "
                         f"{{'u': 'w'}}, not {dict(made.receives)!r}")
    for amount in (*made.receives.values(), made.threshold):
        tree(amount)
    if made.trace and set(made.trace) != {"", "spike", "current"}:
        raise InputError("a trace has equations (''), statements at a 'spike', and equations for a "
                         f"'current', not {', '.join(map(repr, made.trace))}")
    for text in made.trace.values():
        parse(text)


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
