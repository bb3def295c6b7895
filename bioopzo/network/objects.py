"""Every object of a network in text, as Brian2 will get it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from bioopzo.network.connections import Sparse
from bioopzo.network.table import Network
from bioopzo.text.equations import Line, identifiers, linear, parse

SCHEDULE = ("start", "noise", "groups", "error", "feedback", "escape", "plasticity",
            "thresholds", "synapses", "resets", "end")


@dataclass(frozen=True)
class Code:
    """Statements that run in slot `when`, each step or (`clock` "trial") at each trial start."""

    name: str
    text: str
    when: str
    order: int = 0
    clock: str = "step"


@dataclass(frozen=True)
class Event:
    """A custom event of a group: its condition, the slot it is tested in, what it does there."""

    name: str
    condition: str
    when: str
    text: str = ""
    order: int = 0


@dataclass
class GroupText:
    """Everything Brian2 needs to make one NeuronGroup."""

    name: str
    size: int
    equations: str
    kind: str = ""
    threshold: str = ""
    reset: str = ""
    refractory: str = ""
    events: list[Event] = field(default_factory=list)
    codes: list[Code] = field(default_factory=list)
    links: dict[str, tuple[str, str]] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pathway:
    """What synapses do when `event` happens in their source; ``"post"``: their target spikes."""

    name: str
    event: str
    text: str
    when: str
    order: int = 0

    @property
    def side(self) -> str:
        """Whose event it is, ``"pre"`` or ``"post"``."""
        return "post" if self.event == "post" else "pre"

    @property
    def happening(self) -> str:
        """The event as the neurons of that side call it."""
        return "spike" if self.side == "post" else self.event


@dataclass
class SynapseText:
    """Everything Brian2 needs to make one Synapses object; `connection` says which pairs."""

    name: str
    source: str
    target: str
    equations: str
    kind: str = ""
    connection: Any = None
    pathways: list[Pathway] = field(default_factory=list)
    codes: list[Code] = field(default_factory=list)
    sums: dict[str, tuple[str, int]] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    form: str = ""


@dataclass(frozen=True)
class Roles:
    """The variables ``"object.variable"`` that are `learned`, begin `anew`, and `statistics`.

    See `network.learning`.
    """

    learned: tuple[str, ...] = ()
    anew: frozenset[str] = frozenset()
    statistics: frozenset[str] = frozenset()


@dataclass
class Assembly:
    """All objects of a `network`, in text: `groups` and `synapses` by name.

    `roles` says what is learned; a draft does not know. `stored` maps a name that synapses read in
    place of a subexpression to that, as the user calls it.
    """

    groups: dict[str, GroupText]
    synapses: dict[str, SynapseText]
    network: Network = field(repr=False)
    roles: Roles = Roles()
    stored: dict[str, str] = field(default_factory=dict, repr=False)

    def text(self) -> "Texts":
        """The objects as a printable mapping name -> text."""
        return Texts({name: _describe(obj) for name, obj in {**self.groups,
                                                             **self.synapses}.items()})


class Texts(dict[str, str]):
    """A mapping name -> text that prints as a page."""

    def __repr__(self):
        return "\n\n".join(f"== {name} ==\n{text}" for name, text in self.items())

    __str__ = __repr__


def slot(code: Code, owner: str) -> tuple[int, int, str]:
    """Where a statement of the object `owner` stands in a step: Brian2 goes by name at last."""
    return SCHEDULE.index(code.when), code.order, f"{owner}_{code.name}_{code.clock}"


def with_right(line: Line, right: str) -> Line:
    """The `line` with another right-hand side, `right`."""
    return replace(line, right=right)


def _texts(group):
    yield from (group.equations, group.threshold, group.reset)
    yield from (code.text for code in group.codes)
    yield from (part for event in group.events for part in (event.condition, event.text))


def method(group: GroupText) -> str:
    """Exponential Euler where every equation is linear in its own variable, else Euler."""
    lines = parse(group.equations, group.name)
    return "exponential_euler" if all(linear(line, lines) for line in lines) else "euler"


def names_used(group: GroupText) -> set[str]:
    """Every name that the text of a `group` reads or sets."""
    return set().union(*(identifiers(text) for text in _texts(group)))


def synapse_texts(synapse: SynapseText) -> Iterator[str]:
    """Every text of a `synapse`, one after the other."""
    yield synapse.equations
    yield from (path.text for path in synapse.pathways)
    yield from (code.text for code in synapse.codes)


def _describe(obj):
    """One object as a page of text."""
    parts = []
    if isinstance(obj, SynapseText):
        parts.append(f"# {obj.source} -> {obj.target}" + _which(obj.connection)
                     + (f", {obj.form}" if obj.form else ""))
        parts.append(obj.equations)
        ends = {"pre": obj.source, "post": obj.target}
        parts += [f"on {p.happening} of {ends[p.side]} [{p.when}]:\n" + _indent(p.text)
                  for p in obj.pathways]
    else:
        parts.append(f"# {obj.size} neurons" if obj.size > 1 else "# 1 unit")
        parts.append(obj.equations)
        parts += [f"threshold: {obj.threshold}"] if obj.threshold else []
        parts += ["reset:\n" + _indent(obj.reset)] if obj.reset else []
        parts += [f"event {e.name} [{e.when}]: {e.condition}"
                  + ("\n" + _indent(e.text) if e.text else "") for e in obj.events]
    parts += [f"every {c.clock} [{c.when}]:\n" + _indent(c.text)
              for c in sorted(obj.codes, key=lambda c: (SCHEDULE.index(c.when), c.order))]
    return "\n".join(parts)


def _which(connection):
    """Which pairs are connected, where not all are."""
    if not isinstance(connection, Sparse):
        return ""
    pairs = connection.pre * connection.post
    return f", {connection.synapses} of {pairs} pairs ({connection.digest})"


def _indent(text):
    return "    " + text.strip().replace("\n", "\n    ")
