"""What is learned, and that nothing is while plasticity is off.

Three kinds of variables change by text of the user's own:

- what a synapse keeps from trial to trial is *learned*: w, M, B;
- a synaptic variable that a statement between two trials sets to the same value every time begins
  each trial *anew*: an eligibility, or what a synapse has released. One with initial weights is
  learned, whatever that statement says;
- a neuron's variable that only ever changes relative to itself, and that other text reads, is a
  running *statistic*: power, pairs, a baseline.

In trials without plasticity, what is learned and the statistics stay as they are.
"""

from collections.abc import Iterator
from dataclasses import replace

import sympy
from brian2.core.namespace import DEFAULT_UNITS

from bioopzo.network.clock import OF_LEARNING
from bioopzo.network.draft import readable
from bioopzo.network.objects import (
    Assembly,
    GroupText,
    Roles,
    SynapseText,
    names_used,
    with_right,
)
from bioopzo.text.equations import Line, identifiers, is_condition, parse, render, whole_right
from bioopzo.text.functions import FUNCTIONS
from bioopzo.text.symbols import as_sympy


def begins_anew(assembly: Assembly, name: str, line: Line) -> bool:
    """Whether a `line` between two trials lets a variable of the synapses `name` begin anew.

    So do all lines there that set it: one that adds to it would not find what it adds to.
    """
    start, synapse = assembly.network[name].start, assembly.synapses[name]
    known = {*DEFAULT_UNITS, *FUNCTIONS, "inf", "pi", "e"}
    between = [other for code in synapse.codes for other in parse(code.text, name)
               if other.name == line.name]
    return (line in between
            and all(x.operator == "=" and not identifiers(x.right) - known for x in between)
            and not (start and start.variable == line.name)
            and any(line.name == own.name for own in parse(synapse.equations, name)))


def roles(assembly: Assembly) -> Roles:
    """The `Roles` of all variables, from the text as written."""
    anew = {f"{name}.{line.name}" for name, synapse in assembly.synapses.items()
            for code in synapse.codes for line in parse(code.text, name)
            if begins_anew(assembly, name, line)}
    learned = [f"{name}.{line.name}" for name, synapse in assembly.synapses.items()
               for line in parse(synapse.equations, name)
               if line.kind != "subexpression" and line.name not in synapse.constants
               and f"{name}.{line.name}" not in anew]
    return Roles(tuple(learned), frozenset(anew), frozenset(
        f"{name}.{variable}" for name in assembly.groups
        for variable in _statistics(assembly, name)))


def _statistics(assembly, name):
    """The variables of a group that only change relative to themselves, and that are read."""
    written, relative, read = _uses(assembly.groups[name])
    for other, table in readable(assembly.network).items():
        used = names_used(assembly.groups[other])
        read |= {variable for word, (owner, variable) in table.items()
                 if owner == name and word in used}
    for synapse in assembly.synapses.values():
        for suffix, end in (("_pre", synapse.source), ("_post", synapse.target)):
            for line in _lines(synapse) if end == name else ():
                if line.name.endswith(suffix):
                    written.add(line.name.removesuffix(suffix))
                read |= {word.removesuffix(suffix) for word in identifiers(line.right)
                         if word.endswith(suffix)}
    return (relative - written) & read


def _uses(group: GroupText) -> tuple[set[str], set[str], set[str]]:
    """What the text of a group writes, changes relative to itself, and reads."""
    written: set[str] = set()
    relative: set[str] = set()
    read: set[str] = set()
    statements = [group.reset, *(c.text for c in group.codes), *(e.text for e in group.events)]
    for text in statements:
        for line in parse(text, group.name):
            own = line.operator != "=" or line.name in identifiers(line.right)
            (relative if own else written).add(line.name)
            read |= identifiers(line.right) - {line.name}
    for line in parse(group.equations, group.name):
        read |= identifiers(line.right) - {line.name}
        if line.kind == "differential":
            written.add(line.name)
    for text in [group.threshold, *(event.condition for event in group.events)]:
        read |= identifiers(text)
    return written, relative, read


def _lines(synapse: SynapseText) -> Iterator[Line]:
    for text in [synapse.equations, *(p.text for p in synapse.pathways),
                 *(c.text for c in synapse.codes)]:
        yield from parse(text, synapse.name)


# ---------------------------------------------------------------------------- plasticity off

def gate(assembly: Assembly) -> None:
    """Let what is learned, and statistics, change in trials with plasticity only.

    What happens at an event of the perturbation needs no gate: there is none without plasticity.
    """
    found = assembly.roles
    for name, group in assembly.groups.items():
        kept = {key.split(".")[1] for key in found.statistics if key.startswith(f"{name}.")}
        if not kept:
            continue
        group.reset = _gated(group.reset, kept, "plastic")
        group.codes = [replace(c, text=_gated(c.text, kept, "plastic")) for c in group.codes]
        group.events = [e if e.name in OF_LEARNING else
                        replace(e, text=_gated(e.text, kept, "plastic")) for e in group.events]
    for name, synapse in assembly.synapses.items():
        kept = {key.split(".")[1] for key in found.learned if key.startswith(f"{name}.")}
        word = "plastic_post"
        synapse.equations = render(
            with_right(x, f"{word}*({x.right})") if x.kind == "differential" and x.name in kept
            else x for x in parse(synapse.equations, name))
        synapse.pathways = [p if p.event in OF_LEARNING else
                            replace(p, text=_gated(p.text, kept, word)) for p in synapse.pathways]
        synapse.codes = [replace(c, text=text) for c in synapse.codes
                         if (text := _gated(c.text, kept, word))]


def _gated(text, kept, word):
    """Statements that leave the variables `kept` where they are while `word` is 0, to the bit."""
    return render(_gated_line(line, word) if line.name in kept else line for line in parse(text)
                  if not (line.name in kept and _leaves_it(line)))


def _leaves_it(line):
    """Whether a statement says ``w = w``, in whatever words.

    Gated it would be w*(plastic + 1 - plastic), out of which Brian2 cancels the word that it then
    misses.
    """
    right = whole_right(line)
    if (line.operator in ("+=", "-=") or is_condition(line.right)
            or line.name not in identifiers(right)):
        return False
    own = sympy.Symbol(line.name, real=True)
    try:
        return sympy.collect(as_sympy(right) - own, own) == 0
    except (AttributeError, SyntaxError, TypeError):  # no number: Brian2 says what is wrong
        return False


def _gated_line(line, word):
    if is_condition(line.right):
        line = with_right(line, f"int({line.right})")
    if line.operator in ("+=", "-="):
        return with_right(line, f"{word}*({line.right})")
    return replace(line, operator="=",
                   right=f"{word}*({whole_right(line)}) + (1 - {word})*{line.name}")
