"""Blocks of text: what they may be called, laid over each other, edited."""

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from bioopzo.errors import EquationError, InputError, Mistake, nearest, unknown
from bioopzo.network.kinds import KINDS, block_names, moments_of
from bioopzo.network.table import Network
from bioopzo.text.equations import (
    compose,
    defines,
    is_expression,
    parse,
    parse_condition,
)
from bioopzo.text.equations import (
    replace as replace_line,
)

CODINGS = ("current", "poisson", "spikes")
#: What goes on from one trial into the next when the state is not reset.
CARRIED = re.compile(r"^(u|xbar|ybar|ebar|ehat|o|err|z\d+|zbar|not_refractory|lastspike)$")


def lay_over(blocks: MutableMapping[str, str], name: str, text: str, where: str) -> None:
    """Put the lines of a text over those of a block, in place."""
    blocks[name] = text if is_expression(name) else compose(blocks.get(name, ""), text, where)


def is_block(key: str, network: Network) -> bool:
    """Whether a name is that of a block which something in the `network`, or a rule, can have."""
    name, dot, rest = key.partition(".")
    kinds = {block: e.kind for e in network.entries for block in (*e.blocks, e.name)}
    kind = name if name in KINDS else kinds.get(name, name if name in kinds.values() else None)
    moment, *words = rest.split(".")
    told = moments_of(kind).get(moment) if kind and bool(dot) == bool(moment) else None
    return told is not None and len(words) == told.named and all(words)


def unknown_blocks(names: Iterable[str], network: Network) -> InputError | None:
    """Why the first of the block `names` that nothing in the `network` reads is none, or None.

    Returns an `InputError`, for the caller to raise.
    """
    entries = network.entries
    kinds = {entry.kind for entry in entries}
    for name in names:
        owner = name.partition(".")[0]
        kind = next((e.kind for e in entries if owner in (*e.blocks, e.name)), owner)
        if not is_block(name, network):
            known = [block for entry in entries for part in dict.fromkeys((entry.kind, entry.name))
                     for block in block_names(part, entry.kind)]
            like = block_names(owner, kind) if kind in KINDS else [*KINDS]
            return InputError(f"unknown block {name!r}{nearest(name, known)}; "
                              f"known: {', '.join(like)}")
        if kind not in kinds and kind != "backward":
            return InputError(f"block {name!r} needs a block {kind!r}, and there is none")
    return None


def statement_blocks(block: str, kind: str) -> tuple[str, ...]:
    """Two blocks that hold statements of what the equations `block` (of a `kind`) belongs to."""
    spiking = kind in ("input", "hidden")
    moments = ("reset", "step") if spiking else ("spike", "pair", "step", "trial", "hold")
    found = [m for m in moments if m in moments_of(kind)]
    if "step" in moments_of(kind) and not spiking:
        found = ["step", "trial"]
    return tuple(f"{block}.{m}" + ".learn" * moments_of(kind)[m].named for m in found[:2])


def _may_be_added(key, blocks, network):
    """Whether an edit may add a block: of something that there is, or of one layer of it."""
    name = key.split(".")[0]
    described = any(name in (*e.blocks, e.name) and any(block in blocks for block in e.blocks)
                    for e in network.entries)
    return is_block(key, network) and (name in blocks or described)


def apply_edit(blocks: MutableMapping[str, str], key: str, text: str, network: Network,
               parameters: Mapping[str, Any]) -> None:
    """Apply one edit to `blocks` in place; raises `EquationError` with its `Mistake`s."""
    if key in blocks or _may_be_added(key, blocks, network):
        blocks[key] = parse_condition(text, key) if is_expression(key) else text
        if not is_expression(key):
            parse(text, key)
        return
    if key in parameters:
        raise EquationError([Mistake(
            "edit", f"{key!r} is a parameter, and {text!r} is text", "",
            f"give a value without quotes, e.g. {key}={parameters[key].default!r}")])
    block, _, name = key.rpartition(":")
    readable = {b: t for b, t in blocks.items() if not is_expression(b)}
    places = [b for b in readable if defines(blocks[b], name) and (not block or b == block)]
    if not places:
        names = {line.name for other in readable.values() for line in parse(other)}
        last = key.rpartition(".")[2]  # hidden.psi for hidden:psi
        names |= {f"{b}:{last}" for b in readable if "." in key and defines(blocks[b], last)}
        raise EquationError([Mistake("edit", str(unknown("line or block", key,
                                                         sorted(names | set(blocks)))))])
    lines = parse(text, places[0] if len(places) == 1 else key)
    if not any(line.name == name for line in lines):
        raise EquationError([Mistake("edit", f"the new text for {name!r} must define {name!r}; got "
                                     f"{text!r}")])
    statement = all(line.kind == "statement" for line in lines)
    fitting = [b for b in places
               if all((line.kind == "statement") == statement
                      for line in parse(blocks[b]) if line.name == name)]
    if not fitting:
        raise EquationError([Mistake(
            places[0], f"{name!r} is {'an equation' if statement else 'set by a statement'} there",
            text.strip(), f"an equation ends in its unit: '{text.strip()} : 1'" if statement else
            f"write a statement, e.g. '{name} = ...', without a unit")])
    if len(fitting) > 1:
        where = ", ".join(repr(f"{b}:{name}") for b in fitting)
        raise EquationError([Mistake("edit", f"{name!r} is defined in several blocks; say which: "
                                     f"{where}")])
    blocks[fitting[0]] = replace_line(blocks[fitting[0]], name, text, fitting[0])
