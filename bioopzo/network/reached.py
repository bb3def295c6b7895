"""What of a text reaches an object: the blocks and lines that `draft` made the objects from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bioopzo.network import parts
from bioopzo.network.asked import ModelLike
from bioopzo.network.blocks import CODINGS
from bioopzo.network.draft import draft, text_of
from bioopzo.network.entries import Projection
from bioopzo.network.layers import completed, layered
from bioopzo.network.objects import GroupText, SynapseText
from bioopzo.network.table import Network
from bioopzo.network.topology import BOUNDED, below
from bioopzo.text.equations import Line, is_expression, parse


class _Noted(Mapping[str, str]):
    """Blocks that note which of them are read."""

    def __init__(self, blocks):
        self.blocks, self.read = blocks, set()

    def __getitem__(self, name):
        self.read.add(name)
        return self.blocks[name]

    def __contains__(self, name):
        return name in self.blocks

    def __iter__(self):
        return iter(self.blocks)

    def __len__(self):
        return len(self.blocks)


@dataclass(frozen=True)
class _Noting:
    """A model whose blocks note that they are read."""

    network: Network
    blocks: Mapping[str, str]
    parameters: Mapping[str, Any]
    spread: Mapping[str, Any]
    coding: str | None
    refractory: Any
    state_reset: bool
    rule: Any
    changing: bool


def reached(model: ModelLike) -> dict[str, set[Line | str]]:
    """The blocks of a `model` that some object is made from, each with its lines that are in it.

    A condition stands as a text. Lines are missing where every object has others over them.
    """
    return _reached(model, model.network, model.blocks, model.coding, model.changing)


def reached_elsewhere(model: ModelLike) -> set[str]:
    """The blocks that some object has in a network of one layer more, whatever its input.

    A rule's file is written for networks of every depth and for every coding.
    """
    network = completed(layered((1,) * (len(model.network.layers) + 1)), model.rule, model.blocks)
    return set().union(*(
        _reached(model, network, {**model.blocks, **parts.inputs(coding), **parts.forward(coding),
                                  **model.rule.blocks}, coding, False) for coding in CODINGS))


def _reached(model, network, blocks, coding, changing):
    noted = _Noted(blocks)
    objects = draft(_Noting(network, noted, model.parameters, model.spread, coding,
                            model.refractory, model.state_reset, model.rule, changing))
    made: dict[str, GroupText | SynapseText] = {**objects.groups, **objects.synapses}
    found: dict[str, set[Line | str]] = {}
    for name in noted.read:
        owner, _, moment = name.partition(".")
        lines = found.setdefault(name, set())
        if owner == "backward":  # every object that has it has it whole
            lines |= set(parse(blocks[name], name))
        for entry in network.entries:
            if owner in entry.blocks:
                text = text_of(blocks, entry, moment)
                lines |= set(lines_of(name, text)) & set(_of_object(made[entry.name]))
                if isinstance(entry, Projection) and moment in BOUNDED:
                    lines |= set(lines_of(name, below(blocks, entry, moment)))
        lines &= set(lines_of(name, blocks[name]))
    return {name: lines for name, lines in found.items() if lines}


def lines_of(name: str, text: str) -> tuple[Line | str, ...]:
    """The lines in the `text` of the block called `name`, or its condition."""
    return (text,) if is_expression(name) else parse(text, name)


def _of_object(obj: GroupText | SynapseText) -> Iterator[Line | str]:
    """Every line and condition of an object."""
    texts = [obj.equations, *(code.text for code in obj.codes if code.name != "feed")]
    if isinstance(obj, SynapseText):
        texts += [path.text for path in obj.pathways]
    else:
        texts += [obj.reset, *(event.text for event in obj.events)]
        yield from (obj.threshold, *(event.condition for event in obj.events))
    for text in texts:
        yield from parse(text, obj.name)


def why_unreached(name: str, model: ModelLike) -> tuple[str, str]:
    """Why no object of a `model` has the block called `name`, and what to do about it."""
    owner, _, rest = name.partition(".")
    moment = rest.partition(".")[0]
    network = model.network
    entries = [entry for entry in network.entries if owner in entry.blocks]
    if not entries and owner != "backward":
        there = ", ".join(entry.name for entry in network.entries)
        return ("this network has no such population or projection", f"there are {there}")
    if moment in ("hold", "pair") and not model.rule.perturbs:
        return ("the rule perturbs nothing, so no hold begins and no pair ends",
                "leave the block out, or choose a rule that perturbs")
    if moment == "reset":
        return (f"{entries[0].name} never spikes: it has no threshold",
                f"give it one, block '{owner}.threshold', or leave this block out")
    if moment == "on":
        word = rest.partition(".")[2]
        return (f"there is no event {word!r}", f"say when it happens, block '{owner}.event.{word}'")
    if moment == "post":
        targets = ", ".join(dict.fromkeys(
            entry.target for entry in entries if isinstance(entry, Projection)))
        return (f"its target ({targets}) sends no spikes", "leave the block out")
    if moment == "onset" and model.changing:
        return ("the input changes within a trial, and acts in every step",
                "edit the line drive_post, a sum over synapses, in place of it")
    if moment in ("spike", "onset", "hold"):
        sources = ", ".join(dict.fromkeys(
            entry.source for entry in entries if isinstance(entry, Projection)))
        has = {"spike": "sends no spikes, but acts " + (
                   "in every step" if model.changing else "from the start of a trial on"),
               "onset": "sends spikes, and nothing from the start of a trial on",
               "hold": "is not perturbed"}[moment]
        other = {"spike": "onset", "onset": "spike"}.get(moment)
        return (f"its source ({sources}) {has}",
                "edit the line drive_post, a sum over synapses" if moment == "spike"
                and model.changing else f"write block '{owner}.{other}'" if other else
                "leave the block out")
    return ("no object of this network reads it", "leave the block out")


def overlaid(name: str, line: Line | str, model: ModelLike) -> str:
    """The blocks whose lines every object has in place of a `line` of the block `name`."""
    owner, _, moment = name.partition(".")
    found = []
    for entry in model.network.entries:
        later = entry.blocks[entry.blocks.index(owner) + 1:] if owner in entry.blocks else ()
        for other in later:
            key = f"{other}.{moment}" if moment else other
            text = model.blocks.get(key, "")
            if text and (is_expression(key) or any(
                    theirs.name == getattr(line, "name", "") for theirs in parse(text, key))):
                found.append(key)
    return ", ".join(dict.fromkeys(found))
