"""Statements in a row mean what they say, one after the other, whatever Brian2 makes of them.

- A variable that is set to another one has a value of its own. Brian2's NumPy code of ``Z = expo``
  gives the array of ``expo`` a second name: in ``Z *= 0.5`` after it, both change. Here such a
  statement copies; a compiler sees through it.
- A subexpression is that of the values in force. After a statement on ``u``, Brian2 computes anew
  what reads ``u``, but not always what reads that. Here it is written out.
- A value is one for every neuron, and a number. In Brian2's NumPy code a statement such as
  ``cost = plastic`` leaves one number that stands for all, and ``u = not S`` truths; the next
  statement that adds to them fails, and so does one that reads ``not_refractory`` behind
  ``not_refractory = True``.
"""

from dataclasses import replace
from functools import partial

import brian2 as b2
import numpy as np

from bioopzo.network.objects import Assembly
from bioopzo.text.equations import (
    depends_on,
    identifiers,
    is_condition,
    parse,
    render,
    substitute,
)
from bioopzo.text.symbols import as_sympy


def _same(name, function, more=0):
    """A function that returns its first argument; `function` is what it is in NumPy."""
    made = b2.Function(function, arg_units=[None] * (1 + more), arg_types=["any"] * (1 + more),
                       return_unit=lambda unit, *_: unit, return_type="float", stateless=True)
    made.implementations.add_implementation("numpy", function)
    others = ", int" * more
    made.implementations.add_implementation(
        "cpp", "template<typename T> static inline T "
               f"{name}(T x{others})\n{{\n    return x;\n}}\n", name=name)
    others = ", int _i" * more
    made.implementations.add_implementation(
        "cython", f"cdef double {name}(double x{others}) nogil:\n    return x\n", name=name)
    return made


def _everywhere(value, index):
    return np.array(np.broadcast_to(value, np.shape(index)), float)


def _copied(value):
    return np.array(value, float)


FUNCTIONS = {"copied": _same("copied", _copied), "everywhere": _same("everywhere", _everywhere, 1)}


def one_by_one(assembly: Assembly) -> None:
    """Write statements so that each finds what those before it have left."""
    for group in assembly.groups.values():
        lines = parse(group.equations, group.name)
        each = {line.name for line in lines if "shared" not in line.flags}
        own = each - group.links.keys()
        told = partial(_told, table=_subexpressions(group), each=each,
                       own=own | {"i", "rand", "randn"})
        group.reset = told(group.reset)
        group.codes = [c if c.name in ("feed", "list") else replace(c, text=told(c.text))
                       for c in group.codes]
        group.events = [replace(e, text=told(e.text)) for e in group.events]
    for synapse in assembly.synapses.values():
        told = partial(_told, table=_subexpressions(synapse))
        synapse.pathways = [replace(p, text=told(p.text)) for p in synapse.pathways]
        synapse.codes = [replace(c, text=told(c.text)) for c in synapse.codes]


def _subexpressions(thing):
    return {line.name: line.right for line in parse(thing.equations, thing.name)
            if line.kind == "subexpression" and "summed" not in line.flags}


def _told(text, table, each=frozenset(), own=frozenset()):
    """Statements, with what Brian2 would not compute anew written out, and copies.

    `each` holds the variables that have a value for each neuron, `own` those and the functions
    that give a value for each when they are read: a linked one may be one for all.
    """
    lines = parse(text)
    if len(lines) < 2:
        return text
    changed: set[str] = set()
    told, free = [], False
    for line in lines:
        line = replace(line, right=_written_out(line.right, table, changed))
        if free:
            line = replace(line, right=substitute(line.right, {"not_refractory": "(i >= 0)"}))
        free = free or (line.name, line.right) == ("not_refractory", "True")
        if line.operator == "=" and line.name != "not_refractory":
            truth, right = _is_truth(line.right), line.right
            if line.name in each and (truth or _is_for_all(right, table, own)):
                line = replace(line, right=f"everywhere({right}, i)")
            elif truth or _is_other(right):
                line = replace(line, right=f"copied({right})")
        told.append(line)
        changed.add(line.name)
    return render(told)


def _written_out(text, table, changed):
    """Text without the subexpressions that depend on what was changed."""
    while late := {word for word in identifiers(text) if word in table
                   and depends_on(word, table) & changed}:
        text = substitute(text, {word: f"({table[word]})" for word in late})
    return text


def _is_truth(right):
    return is_condition(right) or right in ("True", "False")


def _is_for_all(right, table, own):
    """Whether what is read is the same for all neurons."""
    read = {word for name in identifiers(right)
            for word in (depends_on(name, table) if name in table else {name})}
    return not (read - table.keys()) & own


def _is_other(right):
    """Whether a text is that of another variable, in whatever words Brian2 may make that of."""
    try:
        number, rest = as_sympy(right).as_coeff_Mul()
    except (AttributeError, SyntaxError, TypeError):  # no number: Brian2 says what is wrong
        return False
    return rest.is_Symbol and float(number) == 1
