"""Text of a network that is not a list of layers: names, neurons, inputs, and bounds of weights."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import replace

from bioopzo.network import parts
from bioopzo.network.draft import text_of
from bioopzo.network.entries import Projection
from bioopzo.network.table import Network
from bioopzo.text.equations import compose, is_expression, parse, render, substitute

_LAYER = re.compile(r"^hidden_(\d+)$")


def names(block: str, network: Network) -> Iterator[str]:
    """What the block of a layer, as a rule calls it, is called in a `network`.

    ``hidden_2`` is every hidden population in the place of the second layer, ``forward_1`` what
    leads from the input; all other names are what they are.
    """
    owner, dot, moment = block.partition(".")
    layer = _LAYER.match(owner)
    if layer:
        yield from (f"{p.name}{dot}{moment}" for p in network.hidden if p.layer == int(layer[1]))
    elif owner != "forward_1":
        yield block
    else:
        yield from (f"{p.name}{dot}{moment}" for p in network.out_of(network.input.name))


def named(block: str, text: str, network: Network) -> Iterator[tuple[str, str]]:
    """The names of a block, as of `names`, each with its text: a readout has o in place of u."""
    for name in names(block, network):
        entry = network.get(name.partition(".")[0])
        onto_readout = getattr(entry, "target", "") == network.readout.name
        yield name, substitute(text, {"u_post": "o_post"}) if onto_readout else text


def describe(blocks: MutableMapping[str, str], network: Network, coding: str,
             of_neuron: Callable[[str], Mapping[str, str]]) -> None:
    """Put the text of a given `network` into the `blocks` of one of layers, in place.

    `of_neuron` gives the blocks of hidden neurons of another kind.
    """
    _leave_to_each(blocks, network, of_neuron)
    for population in network.hidden:
        for name, text in (of_neuron(population.neuron) if population.neuron else {}).items():
            there = _lines(name, blocks.get(name, ""))
            own = [line for line in _lines(name, text) if line not in there]
            if own:
                blocks[population.name + name.removeprefix("hidden")] = "\n".join(map(str, own))
    if network.of("fixed", "fixed_readout"):
        blocks.update(parts.FIXED)
    onset, drive = blocks.pop("forward_1.onset", ""), blocks.pop("forward_1", "")
    for projection in network.out_of(network.input.name):
        blocks[f"{projection.name}.onset"] = onset
        blocks[projection.name] = drive
    direct = any(p.target == network.readout.name for p in network.out_of(network.input.name))
    if direct and coding == "current":
        blocks["readout"] = compose(blocks["readout"], parts.DRIVEN_READOUT)
    for projection in network.projections:
        for moment, text in projection.text:
            blocks[".".join(filter(None, (projection.name, moment)))] = text


def _leave_to_each(blocks, network, of_neuron):
    """Let lines of the model's neuron that another one has no line for be of its populations only.

    The other's own text, which is laid over, would leave them there.
    """
    others = {p.neuron: of_neuron(p.neuron) for p in network.hidden if p.neuron}
    for name in [name for name in blocks if name.partition(".")[0] == "hidden"]:
        if is_expression(name):
            continue
        lines = parse(blocks[name])
        theirs = [{_target(x) for x in parse(other.get(name, ""))} for other in others.values()]
        left = [x for x in lines if not all(_target(x) in targets for targets in theirs)]
        if left:
            blocks[name] = render(x for x in lines if x not in left)
            for population in network.hidden:
                if not population.neuron:
                    own = population.name + name.removeprefix("hidden")
                    blocks[own] = render(left)


#: When weights act, or come back into their bounds.
BOUNDED = ("spike", "post", "onset", "trial")


def _target(line):
    """What a line sets, and how: a line replaces another of the same."""
    return line.name, line.operator, line.kind == "statement"


def give_way(blocks: MutableMapping[str, str], before: Mapping[str, str], network: Network
             ) -> None:
    """Let neurons of another kind have what rule and surrogate say of all neurons, in place.

    `before` are the blocks without rule and surrogate. The membrane stays the neuron's own: a
    current of the rule is added to it (`network.paths`).
    """
    for population in network.hidden:
        for name in [name for name in blocks if name.partition(".")[0] == population.name]:
            base = "hidden" + name.removeprefix(population.name)
            if not population.neuron or is_expression(name):
                continue
            old = {line.name: line for line in parse(before.get(base, ""))}
            changed = {line.name for line in parse(blocks.get(base, ""))
                       if line != old.get(line.name)} - {"u"}
            blocks[name] = render(x for x in parse(blocks[name]) if x.name not in changed)


def bound(blocks: MutableMapping[str, str], network: Network) -> None:
    """Let weights act within their bounds, and come back into them between trials, in place."""
    for projection in network.projections:
        for moment in BOUNDED:
            text = text_of(blocks, projection, moment)
            inside = _bounded(projection, moment, text)
            if inside != text:
                blocks[f"{projection.name}.{moment}"] = inside
        for line in parse(text_of(blocks, projection)):
            inside = _bounded(projection, "", line.right)
            if line.name == "drive_post" and "summed" in line.flags and inside != line.right:
                blocks[projection.name] = compose(blocks.get(projection.name, ""),
                                                  str(replace(line, right=inside)))


def below(blocks: Mapping[str, str], projection: Projection, moment: str) -> str:
    """What the bounds of a projection were put into, where its own block holds just that."""
    own = f"{projection.name}.{moment}"
    text = text_of({name: other for name, other in blocks.items() if name != own}, projection,
                   moment)
    inside = _bounded(projection, moment, text)
    return text if inside != text and own in blocks \
        and parse(inside, own) == parse(blocks[own], own) else ""


def _bounded(projection, moment, text):
    """The text of a projection at a moment, with its weights within their bounds."""
    if math.isinf(projection.low) and math.isinf(projection.high):
        return text
    inside = f"clip(w, {_number(projection.low)}, {_number(projection.high)})"
    if moment == "trial":
        line = f"w = {inside}"
        there = line in text.splitlines() or not projection.kind.startswith("forward")
        return text if there else f"{text}\n{line}".strip()
    if not moment:
        return _acting(text, inside)
    lines = parse(text, f"{projection.name}.{moment}")
    acting = [line if line.name == "w" else replace(line, right=_acting(line.right, inside))
              for line in lines]
    return text if acting == lines else render(acting)


def _acting(expression, inside):
    """An expression in which a weight acts: what stands there as a page shows it stays as it is."""
    return inside.join(substitute(part, {"w": inside}) for part in expression.split(inside))


def _number(bound: float) -> str:
    """A bound as text."""
    return f"{bound:g}" if float(f"{bound:g}") == bound else repr(bound)


def _lines(name, text):
    """The lines of a block, or its condition."""
    return [text.strip()] if is_expression(name) else parse(text, name)
