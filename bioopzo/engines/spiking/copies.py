"""A variable that is set to another one has a value of its own.

Brian2's NumPy code of ``Z = expo`` gives the array of ``expo`` a second name: in ``Z *= 0.5``
after it, both change. In its C++ code, and in a model's text, they do not. Here such a statement
copies; a compiler sees through it.
"""

from dataclasses import replace

import brian2 as b2
import numpy as np
from brian2.parsing.sympytools import str_to_sympy

from bioopzo.network.objects import Assembly
from bioopzo.text.equations import is_condition, parse, render


def _copied():
    name = "copied"
    made = b2.Function(np.array, arg_units=[None], return_unit=lambda unit: unit,
                       arg_types=["any"], return_type="highest", stateless=True)
    made.implementations.add_implementation("numpy", np.array)
    code = f"template<typename T> static inline T {name}(T x)\n{{\n    return x;\n}}\n"
    made.implementations.add_implementation("cpp", code, name=name)
    made.implementations.add_implementation(
        "cython", f"cdef double {name}(double x) nogil:\n    return x\n", name=name)
    return made


FUNCTIONS = {"copied": _copied()}


def own_values(assembly: Assembly) -> None:
    """Copy where a statement sets a variable to nothing but another one, and more follow."""
    for group in assembly.groups.values():
        group.reset = _own(group.reset)
        group.codes = [c if c.name in ("feed", "list") else replace(c, text=_own(c.text))
                       for c in group.codes]
        group.events = [replace(e, text=_own(e.text)) for e in group.events]
    for synapse in assembly.synapses.values():
        synapse.pathways = [replace(p, text=_own(p.text)) for p in synapse.pathways]
        synapse.codes = [replace(c, text=_own(c.text)) for c in synapse.codes]


def _own(text):
    lines = parse(text)
    if len(lines) < 2:
        return text
    return render(replace(line, right=f"copied({line.right})") if _is_other(line) else line
                  for line in lines)


def _is_other(line):
    """Whether a statement reads ``x = y``, in whatever words Brian2 may make that of."""
    if line.operator != "=" or is_condition(line.right):
        return False
    try:
        number, rest = str_to_sympy(line.right).as_coeff_Mul()
    except (AttributeError, SyntaxError, TypeError):  # no number: Brian2 says what is wrong
        return False
    return rest.is_Symbol and float(number) == 1
