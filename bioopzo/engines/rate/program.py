"""The operations of a time step, as data."""

from dataclasses import dataclass, field

ACTIVITIES = ("rates", "spikes", "deterministic")


@dataclass(frozen=True)
class Ref:
    """Where an operation finds a value.

    `kind`: ``"node"`` (an operation of the same step, `key` its number), ``"carry"`` (the value of
    variable `key` when the last step ended), ``"state"`` (a variable no step changes),
    ``"course"`` (a time course of the trial), ``"constant"`` (a parameter, ``object.name``),
    ``"size"``, ``"table"`` (given for every step) or ``"draw"`` (random numbers, `key` its number).
    """

    kind: str
    key: object


@dataclass(frozen=True)
class Factors:
    """One term of synaptic text: constants and neuron's parts as text, the synapse's too."""

    pre: str
    post: str
    synapse: str


@dataclass(frozen=True)
class Term:
    """One term of a synaptic change.

    References to its neurons' parts (None: 1), a scalar as code with its reads, and the synapse's
    own part as code with the variables it reads.
    """

    pre: Ref | None
    post: Ref | None
    scale: str
    scale_reads: dict
    code: str
    synaptic: dict


@dataclass
class Node:
    """One operation.

    `kind`: ``"element"`` (code on a group's arrays), ``"product"`` (through synapses), ``"mean"``
    (a shared variable of neurons), ``"learn"`` (a shared variable of synapses), ``"trace"`` (an
    eligibility); `gate` is a scalar condition on time courses.
    """

    number: int
    kind: str
    owner: str
    target: str
    code: str = ""
    reads: dict = field(default_factory=dict)
    gate: str = ""
    detail: dict = field(default_factory=dict)


@dataclass
class Program:
    """The operations of a step, of the start and of the end of a trial, and of random draws.

    `nodes` in the order of the step; `last` variable -> number of the last operation that changes
    it; `start` and `finish` the same kind of lists; `draws` number -> (distribution, target, gate),
    the target being the variable or event of a group that the number is drawn for.
    """

    assembly: object
    activity: str
    nodes: list = field(default_factory=list)
    start: list = field(default_factory=list)
    finish: list = field(default_factory=list)
    draws: list = field(default_factory=list)
    last: dict = field(default_factory=dict)
    shared: set = field(default_factory=set)
    eligibilities: set = field(default_factory=set)
    learned: tuple = ()


def references(node):
    """Every `Ref` to a value that an operation reads."""
    yield from node.reads.values()
    for term in node.detail.get("terms", ()):
        yield from (ref for ref in (term.pre, term.post) if ref is not None)
