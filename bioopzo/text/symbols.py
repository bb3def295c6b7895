"""Text as SymPy's expressions."""

import re

import sympy
from brian2.parsing.sympytools import str_to_sympy

_TIME, _SPARE = re.compile(r"(?<![\w.])t\b"), "t_or_zero_"


def as_sympy(text: str) -> sympy.Expr:
    """The expression of a `text`, as Brian2 reads it, but that time may be 0.

    Brian2 takes ``t`` for positive, and SymPy then makes 1 of ``sign(t)``, which is 0 in the first
    step.
    """
    found = str_to_sympy(_TIME.sub(_SPARE, text))
    return found.xreplace({sympy.Symbol(_SPARE, real=True): sympy.Symbol("t", real=True)})
