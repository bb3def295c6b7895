"""What a rule's file returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bioopzo.text.entries import Entries
from bioopzo.text.parameters import Parameter


@dataclass(frozen=True)
class Rule:
    """A learning rule: text blocks that fill or replace those of the network.

    `name` is that of its file, `summary` says in one line what it does. `blocks` maps a block name
    (``"hidden"``, ``"forward"``, ``"feedback.pair.learn"`` ...) to text; `parameters` maps a name
    to a `Parameter`; `source` is short, `reference` the full entries of what to cite, an empty line
    between two; `matrix` names the feedback matrix (``"M"``, ``"B"`` or empty) and `feedback_scale`
    the standard deviation of its start (0: zeros); `perturbs` is empty, ``"hold"`` (one hold a
    trial) or ``"pair"`` (antithetic holds); `current` is a term that the rule adds to the equation
    of the hidden membrane, du/dt, whatever the neuron; `branches` are the hidden layers with a
    readout of their own, `intermediate` the one of them whose error also goes to the layers below;
    `gradient` lets the rate engine give ``gradient``, the derivative of the trial's loss by each
    weight, with ``dS_du`` in place of a spike's own derivative; `needs` are the variables of the
    hidden neuron that the rule's text reads, so that an edited neuron can be checked for them.
    """

    name: str
    summary: str
    source: str
    blocks: Mapping[str, str]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    reference: str = ""
    matrix: str = ""
    feedback_scale: float = 0.0
    perturbs: str = ""
    branches: tuple[int, ...] = ()
    intermediate: int | None = None
    needs: tuple[str, ...] = ("xbar", "psi", "g")
    current: str = ""
    gradient: bool = False

    def __post_init__(self):
        object.__setattr__(self, "blocks", Entries(self.blocks))
        object.__setattr__(self, "parameters", Entries(self.parameters))
