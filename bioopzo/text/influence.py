"""What reads what among the lines of one population, and expressions put into each other."""

import ast
import functools
from collections.abc import Mapping

import sympy
from brian2.parsing.sympytools import sympy_to_str

from bioopzo.text.equations import Line, identifiers, substitute, tree
from bioopzo.text.symbols import as_sympy


def factor(text: str) -> str:
    """An expression `text`, in brackets where it would not stand as a factor."""
    node = tree(text).body
    plain = isinstance(node, (ast.Name, ast.Call, ast.Constant)) or (
        isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)))
    return text if plain else f"({text})"


def expanded(text: str, lines: Mapping[str, Line]) -> str:
    """The expression `text` with the subexpressions among `lines` (name -> `Line`) put in."""
    table = {name: f"({x.right})" for name, x in lines.items() if x.kind == "subexpression"}
    for _ in table:
        text = substitute(text, {k: v for k, v in table.items() if k in identifiers(text)})
    return text


def _reads(lines):
    """Variable -> the variables that its line reads, subexpressions put in."""
    return {name: identifiers(expanded(x.right, lines)) & lines.keys()
            for name, x in lines.items() if x.kind == "differential"}


def on_way(lines: Mapping[str, Line], target: str) -> set[str]:
    """Variables among `lines` that act on `target` through differential equations, and itself."""
    reads, found = _reads(lines), {target}
    for _ in lines:
        found |= {word for name in found for word in reads.get(name, ())}
    return {name for name in found if not name.startswith("push")}


def reached(lines: Mapping[str, Line], entry: str) -> set[str]:
    """Variables among `lines` that `entry` acts on through differential equations, and itself."""
    reads, found = _reads(lines), {entry}
    for _ in lines:
        found |= {name for name, words in reads.items() if words & found}
    return found


@functools.lru_cache(maxsize=1024)
def share_of(text: str, name: str) -> sympy.Expr:
    """The derivative of the expression `text` by one of its names, `name`, simplified.

    ``nan`` where there is none: of a condition, say.
    """
    try:
        return sympy.simplify(sympy.diff(as_sympy(text), as_sympy(name)))
    except AttributeError:  # sympy's conditions have no derivative
        return sympy.nan


def as_term(share: sympy.Expr, name: str) -> str:
    """The product of a coefficient `share` and the variable `name`, as one would write it."""
    for sign, text in ((-1, "-"), (1, "")):
        whole = sign / share
        if whole.is_Symbol or (whole.is_Mul and all(x.is_Symbol for x in whole.args)):
            leak = sympy_to_str(whole)
            return f"{text}{name}/{leak}" if whole.is_Symbol else f"{text}{name}/({leak})"
    return f"({sympy_to_str(share)})*{name}"
