"""Words of a rule's text that a neuron's file gives their meaning, put into a network's text.

- ``threshold``: where the neuron's psi has its middle (theta);
- ``sensitivity``: how the weight of a synapse moves the neuron's distance from its threshold: the
  trace of its source (xbar_pre), for a leaky membrane;
- ``eligibility``: sensitivity*psi_post, what a three-factor rule multiplies by its modulator.

So a rule is right for each neuron. A neuron's file also says what a spike raises in it, and which
traces its sources keep for it. Where neurons differ between populations, each projection has what
its target says.
"""

import re
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from typing import Any, NamedTuple

from bioopzo.errors import InputError
from bioopzo.network.draft import text_of
from bioopzo.network.table import Network
from bioopzo.text.equations import (
    Line,
    compose,
    defines,
    identifiers,
    is_expression,
    parse,
    render,
    substitute,
)
from bioopzo.text.influence import factor

SENSITIVITY, ELIGIBILITY, THRESHOLD = "sensitivity", "eligibility", "threshold"
#: Kinds of projections onto hidden neurons.
ONTO_HIDDEN = ("forward", "fixed")
_EQUATIONS = ("", "sample", "chance", "step")


class Said(NamedTuple):
    """What a neuron says of its synapses and sources, as in `neurons.Neuron`."""

    synapse: str = ""
    receives: tuple[tuple[str, str], ...] = (("u", "w"),)
    trace: tuple[tuple[str, str], ...] = ()
    threshold: str = "theta"


def said(neuron: Any) -> Said:
    """What a `neuron`, a `neurons.Neuron`, says."""
    return Said(neuron.synapse, tuple(neuron.receives.items()), tuple(neuron.trace.items()),
                neuron.threshold)


def put_in(blocks: MutableMapping[str, str], network: Network, of: Callable[[str], Said],
           current: bool, masked: bool, reset: bool, spikes: bool = True) -> None:
    """Put the meaning of these words into the `blocks` of a `network`, in place.

    `of` gives what the neuron called so says (``""``: the model's); `current` is whether the input
    is a constant current, `masked` whether a mask of dropout stands before what a neuron sends,
    and `reset` whether the state begins each trial anew. With `spikes`, what a spike raises is
    put in, too; a user's own edit says what it says.
    """
    _put_thresholds(blocks, network, of)
    onto = [p for p in network.projections if p.kind in ONTO_HIDDEN]
    theirs = {p.name: of(network[p.target].neuron) for p in onto}
    shared = len({x.synapse for x in theirs.values()}) == 1
    usual = next(iter(theirs.values())) if shared else Said()
    odd = [p for p in onto if theirs[p.name].synapse != usual.synapse]
    for projection in odd:
        _put_onto(blocks, projection)
        _put_into(blocks, projection.name, theirs[projection.name], reset)
    apart = {p.name for p in odd}
    for base in dict.fromkeys(name for p in onto for name in p.blocks if name not in apart):
        _put_into(blocks, base, usual, reset)
    if spikes:
        _put_spikes(blocks, onto, theirs)
    _put_traces(blocks, network, theirs, current, masked, reset)


def leave_out(blocks: MutableMapping[str, str], network: Network, of: Callable[[str], Said]
              ) -> None:
    """Leave out what begins anew in synapses whose equations an edit has taken away, in place."""
    onto = [p for p in network.projections if p.kind in ONTO_HIDDEN]
    there = {line.name for p in onto for line in parse(text_of(blocks, p))}
    gone = {name for p in onto for name in _moving(of(network[p.target].neuron).synapse)
            if name not in there}
    bases = {base for p in onto for base in p.blocks}
    for name in [f"{base}.trial" for base in bases if gone and f"{base}.trial" in blocks]:
        blocks[name] = render(x for x in parse(blocks[name])
                              if not (x.name in gone and str(x) == f"{x.name} = 0"))


# ---------------------------------------------------------------------------- of neurons

def _put_thresholds(blocks, network, of):
    """The threshold of every hidden neuron, where text reads it."""
    usual = of("").threshold
    for population in network.hidden:
        own = of(population.neuron).threshold if population.neuron else usual
        for moment in _EQUATIONS if own != usual else ():
            text = text_of(blocks, population, moment)
            lines = [_meant(line, own) for line in parse(text)
                     if THRESHOLD in identifiers(line.right)]
            if lines and not defines(text, THRESHOLD):
                name = ".".join(filter(None, (population.name, moment)))
                blocks[name] = compose(blocks.get(name, ""), render(lines))
    bases = {name for population in network.hidden for name in population.blocks}
    if any(defines(blocks.get(base, ""), THRESHOLD) for base in bases):
        return  # somebody's own
    for name in [name for name in blocks if name.partition(".")[0] in bases]:
        if not is_expression(name) and THRESHOLD in identifiers(blocks[name]):
            blocks[name] = render(_meant(line, usual) for line in parse(blocks[name]))


def _meant(line, threshold):
    return replace(line, right=substitute(line.right, {THRESHOLD: factor(threshold)}))


# ---------------------------------------------------------------------------- of synapses

def _put_onto(blocks, projection):
    """Give a projection lines of its own, those in which the words stand."""
    lines = [line for line in parse(text_of(blocks, projection))
             if identifiers(line.right) & {SENSITIVITY, ELIGIBILITY}]
    if lines:
        blocks[projection.name] = compose(blocks.get(projection.name, ""), render(lines))


def _put_into(blocks, base, mine, reset):
    """Put the words into the block `base`, with what begins each trial anew."""
    text = blocks.get(base, "")
    read = identifiers(text)
    if not read & {SENSITIVITY, ELIGIBILITY} or defines(text, SENSITIVITY):
        return
    blocks[base] = _spelled(text, mine, read)
    moving = [name for name in _moving(mine.synapse) if defines(blocks[base], name)]
    if moving and reset:
        trial = blocks.get(f"{base}.trial", "")
        blocks[f"{base}.trial"] = compose(trial, "\n".join(f"{x} = 0" for x in moving))


def _put_spikes(blocks, onto, theirs):
    """What a spike raises: in blocks that all share, or of each projection."""
    if all(x.receives == Said().receives for x in theirs.values()):
        return
    shared = len({x.receives for x in theirs.values()}) == 1
    given = {p.name for p in onto if any(moment == "spike" for moment, _ in p.text)}
    old = dict(blocks)
    for projection in onto:
        mine = theirs[projection.name]
        for base in projection.blocks if shared else [projection.name]:
            name = f"{base}.spike"
            if base not in given and (not shared or name in blocks):
                lines = parse(old[name] if shared else text_of(old, projection, "spike"))
                blocks[name] = render(_received(lines, mine))
    for name in [] if shared else [f"{kind}.spike" for kind in ONTO_HIDDEN]:
        # A block of all projections lies below their own, and would raise u beside.
        blocks[name] = render(line for line in parse(blocks.get(name, "")) if not _raises(line))


def _spelled(text, mine, read):
    """Equations of a synapse with the words put in, or defined."""
    own = parse(mine.synapse)
    only = own[0].right if len(own) == 1 and own[0].right.isidentifier() else ""
    plain = "xbar_pre" if not own else only
    if plain:
        meaning = {SENSITIVITY: plain, ELIGIBILITY: f"{plain}*psi_post"}
        return render(replace(line, right=_put(line.right, meaning)) for line in parse(text))
    if ELIGIBILITY in read and not defines(text, ELIGIBILITY):
        own += (Line("subexpression", ELIGIBILITY, f"{SENSITIVITY}*psi_post", "1"),)
    there = {line.name for line in parse(text)}
    return render([*(line for line in own if line.name not in there), *parse(text)])


def _put(right, meaning):
    """The words in an expression; a product stands in brackets where it is divided by or raised."""
    tight = re.search(rf"(/|\*\*)\s*{ELIGIBILITY}|{ELIGIBILITY}\s*\*\*", right)
    return substitute(right, {word: f"({text})" if tight else text
                              for word, text in meaning.items()})


def _received(lines, mine):
    """Statements at a spike, with what it raises in this neuron."""
    for line in lines:
        if _raises(line):
            yield from (replace(line, name=f"{variable}_post",
                                right=substitute(amount, {"w": line.right}))
                        for variable, amount in mine.receives)
        else:
            yield line


def _raises(line):
    return line.name == "u_post" and line.operator == "+="


# ---------------------------------------------------------------------------- of sources

def _put_traces(blocks, network, theirs, current, masked, reset):
    """The traces that sources keep for the synapses that read them."""
    kept: dict[str, dict[str, dict[str, str]]] = {}
    for projection in network.projections:
        trace: dict[str, str] = dict(theirs.get(projection.name, Said()).trace)
        names = {f"{name}_pre" for name in _moving(trace.get("", ""))}
        if trace and names & identifiers(text_of(blocks, projection)):
            source = network[projection.source]
            base = "hidden" if source.kind == "hidden" and _everywhere(network, theirs) \
                else source.name
            kept.setdefault(base, {})[str(trace)] = trace
    for base, traces in kept.items():
        there = [line.name for trace in traces.values() for line in parse(trace[""])]
        twice = sorted({name for name in there if there.count(name) > 1})
        if twice:
            raise InputError(f"{base} would keep two traces called {', '.join(twice)}, for two "
                             "neurons that it projects to: give them other names in one of the two "
                             "files, or let both neurons be of one kind")
        for trace in traces.values():
            _keep(blocks, base, trace, base == network.input.name and current,
                  masked and base != network.input.name, reset)


def _everywhere(network, theirs):
    return len({x.trace for x in theirs.values()}) == 1


def _keep(blocks, base, trace, current, masked, reset):
    """Let a population keep a trace, if it does not yet."""
    text = trace["current"] if current else trace[""]
    if all(defines(blocks.get(base, ""), line.name) for line in parse(text)):
        return
    blocks[base] = compose(blocks.get(base, ""), text)
    if not current:
        rises = list(parse(trace["spike"]))
        if masked:
            rises = [replace(line, right="mask" if line.right == "1" else
                             f"mask*{factor(line.right)}") for line in rises]
        blocks[f"{base}.reset"] = compose(blocks.get(f"{base}.reset", ""), render(rises))
    if reset and _moving(text):
        nothing = "\n".join(f"{name} = 0" for name in _moving(text))
        blocks[f"{base}.trial"] = compose(blocks.get(f"{base}.trial", ""), nothing)


def _moving(text):
    return [line.name for line in parse(text) if line.kind == "differential"]
