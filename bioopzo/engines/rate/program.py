"""The operations of a trial, as data: what is computed from what, in which order.

A `Program` holds no arrays. Its operations run one after the other, and every one reads the value
that a variable has at that moment, as in Brian2.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bioopzo.errors import EquationError
from bioopzo.network.connections import Convolution

ACTIVITIES = ("rates", "spikes", "deterministic")


@dataclass(frozen=True)
class Ref:
    """Where an operation finds a value.

    `kind`: ``"value"`` (what the variable `key`, ``object.name``, holds now), ``"clock"`` (a time
    course of the trial, or t), ``"constant"`` (a parameter, or dt), ``"size"`` (neurons of a
    group), ``"index"`` (the numbers of a group's neurons) or ``"draw"`` (random numbers, `key`
    their place in `Program.draws`).
    """

    kind: str
    key: Any


@dataclass(frozen=True)
class Draw:
    """Random numbers: ``rand`` or ``randn``, for which variable or event, the how manieth of it."""

    distribution: str
    target: str
    place: int


@dataclass(frozen=True)
class Term:
    """One term of synaptic text: pre x post x code.

    `pre` and `post` are values of neurons (None: 1). `code` is of synapses, constants and indices;
    where a term does not factor it is the whole term, and `literal`. `reads` maps a word of the
    code to (whose it is, its `Ref`): ``"pre"``, ``"post"``, ``"synapse"``, ``"draw"`` or
    ``"scalar"``.
    """

    pre: Ref | None
    post: Ref | None
    code: str
    reads: dict[str, tuple[str, Ref]]
    text: str

    @property
    def literal(self) -> bool:
        """Whether it has a value of its own for every sample and synapse."""
        return any(side == "draw" or (side in ("pre", "post") and ref.kind != "index")
                   for side, ref in self.reads.values())

    @property
    def synaptic(self) -> set[str]:
        """The synaptic variables that it reads."""
        return {ref.key for side, ref in self.reads.values() if side == "synapse"}


@dataclass(frozen=True)
class Node:
    """One operation.

    `kind`: ``"element"`` (`code` on a group's arrays), ``"sum"`` (`terms` summed through synapses
    `into` their ``"post"`` or ``"pre"`` side), ``"change"`` (a synaptic variable changes by
    `terms`), ``"set"`` (it becomes them) or ``"together"`` (`parts`, all from the old values).
    `gate` is a condition on the trial's clock; `activity` the size of the event at which synapses
    act, of the neurons on their `side`.
    """

    kind: str
    owner: str
    target: str = ""
    code: str = ""
    reads: dict[str, Ref] = field(default_factory=dict)
    gate: str = ""
    terms: tuple[Term, ...] = ()
    into: str = ""
    activity: Ref | None = None
    side: str = "pre"
    differential: bool = False
    parts: tuple["Node", ...] = ()

    def read(self) -> set[str]:
        """The variables that it reads."""
        refs = [*self.reads.values(), self.activity]
        for term in self.terms:
            refs += [term.pre, term.post, *(ref for _, ref in term.reads.values())]
        found = {ref.key for ref in refs if ref is not None and ref.kind == "value"}
        if self.kind in ("change", "set") or self.gate:
            found.add(self.target)  # which is kept where nothing changes it
        return found.union(*(part.read() for part in self.parts))

    def written(self) -> set[str]:
        """The variables that it gives a value."""
        return {part.target for part in self.parts or (self,)}


@dataclass
class Program:
    """The operations of a trial's `start`, of every `step`, and of its `finish`.

    `finish` is what Brian2 does between two trials: reward, and weights that wait for it. `draws`
    are the random numbers; `shared`, neurons' running statistics (one for all samples);
    `eligibilities`, synaptic variables of a sample, which a trial starts anew; `learned`, those
    that all samples share; `held`, what a refractory neuron does not change.
    """

    assembly: Any
    activity: str
    start: list[Node] = field(default_factory=list)
    step: list[Node] = field(default_factory=list)
    finish: list[Node] = field(default_factory=list)
    draws: list[Draw] = field(default_factory=list)
    shared: set[str] = field(default_factory=set)
    eligibilities: set[str] = field(default_factory=set)
    learned: tuple[str, ...] = ()
    held: set[str] = field(default_factory=set)

    @property
    def changes(self) -> list[Node]:
        """Every operation on a synaptic variable, of a step or between trials."""
        return [part for node in self.step + self.finish for part in node.parts or (node,)
                if part.kind in ("change", "set")]


def needed(nodes: list[Node], wanted: set[str], again: bool) -> tuple[list[Node], set[str]]:
    """The operations that the variables `wanted` depend on, and the variables they begin with.

    `again`: the operations are repeated, step after step.
    """
    while True:
        kept, alive = [], set(wanted)
        for node in reversed(nodes):
            if node.written() & alive:
                alive = (alive - node.written()) | node.read()
                kept.append(node)
        if not again or alive <= wanted:
            return kept[::-1], alive
        wanted = wanted | alive


def refuse_literal_images(program: Program, shared: Mapping[str, Any]) -> None:
    """Refuse what has no meaning where several synapses share a weight (projections in `shared`).

    In a convolution a shared weight moves by the sum of what its synapses ask for, and what reads
    the weight (a decay) counts once: how often a term counts that reads nothing of the synapse or
    before it is open, and one factored or multiplied out would differ. An eligibility is of every
    synapse: it cannot change by the weight that they share.
    """
    nodes = [(part, late) for late, whole in enumerate((program.step, program.finish))
             for node in whole for part in node.parts or (node,)]
    for node, late in nodes:
        if node.owner not in shared or not node.terms:
            continue
        together = {key for term in node.terms for key in term.synaptic}
        for term in node.terms:
            own = (together if node.kind == "set" else term.synaptic) - program.eligibilities
            strange = term.literal or any(ref.kind == "index" for _, ref in term.reads.values()) \
                or (node.kind == "sum" and not term.synaptic) \
                or (own and node.target in program.eligibilities)
            mixed = node.kind != "sum" and own and (term.pre is not None or (
                term.post is not None and late))
            if strange or mixed or (node.kind == "set" and (node.activity or term.post)):
                raise EquationError(
                    f"{node.owner}: {term.text} is not defined in a convolution or pooled image, "
                    f"whose synapses share weights{': it reads ' * bool(own)}"
                    f"{', '.join(sorted(own))}; write terms of dw/dt without presynaptic values, "
                    "or use layers connected all to all")
            if isinstance(shared[node.owner], Convolution) and _open(node, term, program):
                raise EquationError(
                    f"{node.owner}: {term.text} has neither a presynaptic value nor a variable of "
                    "the synapse in it, and in a convolution, where all places share a weight, it "
                    "is open whether it counts once or for every place: multiply it by the weight "
                    "(then once, as a decay), or write it into the factor of the presynaptic "
                    "value, such as (xbar_pre - 0.2)*g_post (then for every place)")


def _open(node, term, program):
    """Whether a term of a change stands beside, or for, a sum over places without saying so.

    What alone changes an eligibility does not: that is of every synapse.
    """
    alone = len(node.terms) == 1 and node.target in program.eligibilities
    return node.kind == "change" and term.pre is None and not term.synaptic and not alone
