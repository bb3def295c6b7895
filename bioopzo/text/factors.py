"""Synaptic text as a sum of (presynaptic) x (postsynaptic) x (synaptic) terms."""

from collections.abc import Callable
from dataclasses import dataclass

import sympy
from brian2.parsing.sympytools import sympy_to_str

from bioopzo.text.symbols import as_sympy


@dataclass(frozen=True)
class Factors:
    """One term: constants and neurons' parts as text, the synapse's too."""

    pre: str
    post: str
    synapse: str


class Mixed(Exception):
    """A term that does not factor: `args` are its text and that of the part that mixes owners."""


def factored(text: str, owner: Callable[[str], str]) -> list[Factors]:
    """The `Factors` of a text, one a term, with equal parts collected.

    `owner(word)` is ``"pre"``, ``"post"``, ``"synapse"``, ``"draw"`` or ``"scalar"``. Raises
    `Mixed` naming the term that does not factor.
    """
    try:
        expression = sympy.expand(as_sympy(text))
    except (SyntaxError, TypeError, ValueError, AttributeError, NotImplementedError):
        raise Mixed(text, text) from None
    terms: dict[tuple, sympy.Expr] = {}
    for term in sympy.Add.make_args(expression):
        parts = _parts(term, owner)
        key = (sympy.Mul(*parts["post"]), sympy.Mul(*parts["synapse"]))
        terms[key] = terms.get(key, 0) + sympy.Mul(*parts["pre"], *parts["scalar"])
    merged: dict[tuple, sympy.Expr] = {}
    for (post, own), pre in terms.items():
        constant, pre = pre.as_independent(
            *[s for s in pre.free_symbols if owner(str(s)) == "pre"], as_Add=False)
        merged[pre, own] = merged.get((pre, own), 0) + constant * post
    return [Factors(sympy_to_str(pre), sympy_to_str(post), sympy_to_str(own))
            for (pre, own), post in merged.items()]


def _parts(term, owner):
    """The factors of a term by owner."""
    parts: dict[str, list] = {"pre": [], "post": [], "synapse": [], "scalar": []}
    # Not by force, which takes every variable for positive: abs(w) would be w.
    for factor in sympy.Mul.make_args(sympy.powdenest(term)):
        base = sympy.expand_power_base(factor, force=True)
        for piece in sympy.Mul.make_args(base):
            owners = {owner(str(s)) for s in piece.free_symbols} - {"scalar"}
            if len(owners) > 1 or "draw" in owners:
                raise Mixed(sympy_to_str(term), sympy_to_str(piece))
            parts[owners.pop() if owners else "scalar"].append(piece)
    return parts
