"""Statements in a row mean what they say, one after the other, whatever Brian2 makes of them.

- A variable that is set to another one has a value of its own. Brian2's NumPy code of ``Z = expo``
  gives the array of ``expo`` a second name: in ``Z *= 0.5`` after it, both change. Here such a
  statement copies; a compiler sees through it.
- A subexpression is that of the values in force. After a statement on ``u``, Brian2 computes anew
  what reads ``u``, but not always what reads that. Here it is written out.
- A value is one for every neuron. Where neurons are refractory, Brian2's NumPy code asks for those
  that are free of whatever a statement reads, and fails of a number that stands for all.
"""

from dataclasses import replace
from functools import partial

import brian2 as b2
import numpy as np
from brian2.parsing.sympytools import str_to_sympy

from bioopzo.network.objects import Assembly
from bioopzo.text.equations import (
    depends_on,
    identifiers,
    is_condition,
    parse,
    render,
    substitute,
)


def _same(name, function, more=0):
    """A function that returns its first argument; `function` is what it is in NumPy."""
    made = b2.Function(function, arg_units=[None] * (1 + more), arg_types=["any"] * (1 + more),
                       return_unit=lambda unit, *_: unit, return_type="float", stateless=True)
    made.implementations.add_implementation("numpy", function)
    others = ", int" * more
    made.implementations.add_implementation(
        "cpp", f"static inline double {name}(double x{others})\n{{\n    return x;\n}}\n",
        name=name)
    others = ", int _i" * more
    made.implementations.add_implementation(
        "cython", f"cdef double {name}(double x{others}) nogil:\n    return x\n", name=name)
    return made


def _everywhere(value, index):
    return np.array(np.broadcast_to(value, np.shape(index)), float)


FUNCTIONS = {"copied": _same("copied", np.array), "everywhere": _same("everywhere", _everywhere, 1)}


def one_by_one(assembly: Assembly) -> None:
    """Write statements so that each finds what those before it have left."""
    for group in assembly.groups.values():
        each = {line.name for line in parse(group.equations, group.name)
                if "shared" not in line.flags} if group.refractory else set()
        told = partial(_told, table=_subexpressions(group), each=each)
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


def _told(text, table, each=frozenset()):
    """Statements, with what Brian2 would not compute anew written out, and copies.

    `each` holds the variables of neurons that may be refractory, with a value for each of them.
    """
    lines = parse(text)
    if len(lines) < 2:
        return text
    changed: set[str] = set()
    told = []
    for line in lines:
        line = replace(line, right=_written_out(line.right, table, changed))
        if _is_number(line) and line.name in each:
            line = replace(line, right=f"everywhere({line.right}, i)")
        elif _is_other(line):
            line = replace(line, right=f"copied({line.right})")
        told.append(line)
        changed.add(line.name)
    return render(told)


def _written_out(text, table, changed):
    """Text without the subexpressions that depend on what was changed."""
    while late := {word for word in identifiers(text) if word in table
                   and depends_on(word, table) & changed}:
        text = substitute(text, {word: f"({table[word]})" for word in late})
    return text


def _is_number(line):
    return line.operator == "=" and not is_condition(line.right) and line.right not in (
        "True", "False")


def _is_other(line):
    """Whether a statement reads ``x = y``, in whatever words Brian2 may make that of."""
    if line.operator != "=" or is_condition(line.right):
        return False
    try:
        number, rest = str_to_sympy(line.right).as_coeff_Mul()
    except (AttributeError, SyntaxError, TypeError):  # no number: Brian2 says what is wrong
        return False
    return rest.is_Symbol and float(number) == 1
