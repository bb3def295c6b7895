"""The derivative of an expression by one of its names, as text."""

import ast
import functools
from collections.abc import Mapping

import numpy as np
import scipy.special

from bioopzo.errors import BioopzoError
from bioopzo.text.equations import PARSING, tree

#: d f(x)/dx, with x in place of {x}. Where exp would overflow in 1/(1 + exp(x)), its derivative is
#: 0 and not the quotient of two infinities.
_OF_FUNCTIONS = {
    "exp": "exp(clip({x}, -500, 500))", "log": "1/({x})",
    "log10": "1/(log(10)*({x}))", "sqrt": "0.5/sqrt({x})",
    "sin": "cos({x})", "cos": "(-sin({x}))", "tan": "(1 + tan({x})**2)",
    "tanh": "(1 - tanh({x})**2)", "sinh": "cosh({x})", "cosh": "sinh({x})", "abs": "sign({x})",
    "erf": "2*exp(-({x})**2)/sqrt(pi)", "arctan": "1/(1 + ({x})**2)", "log1p": "1/(1 + ({x}))",
    "expm1": "exp(clip({x}, -500, 500))",
    "arcsin": "1/sqrt(1 - ({x})**2)", "arccos": "(-1/sqrt(1 - ({x})**2))",
}


class Kink(BioopzoError):
    """Why an expression has no derivative."""


def derivative(text: str, name: str, lines: Mapping[str, str]) -> str:
    """d/d`name` of an expression, as text; ``"0"`` where it does not depend on it.

    `lines` are subexpressions that it may read: word -> text. What they say is not put in but
    read, so that the derivative of p(u) may read p. Raises `Kink` where there is none.
    """
    with PARSING:
        found = ast.parse(_of(tree(text).body, name, lines, ()), mode="eval")
        return ast.unparse(_Signs().visit(found))


class _Signs(ast.NodeTransformer):
    def visit_UnaryOp(self, node):
        """Two minus signs in a row would be something else in C++."""
        self.generic_visit(node)
        inner = node.operand
        if isinstance(node.op, ast.USub) and isinstance(inner, ast.UnaryOp) \
                and isinstance(inner.op, ast.USub):
            return inner.operand
        return node


def _of(node, name, lines, within):
    if isinstance(node, ast.Constant):
        return "0"
    if isinstance(node, ast.Name):
        if node.id == name:
            return "1"
        if node.id in within:
            raise Kink(f"{node.id!r} depends on itself")
        return _of(tree(lines[node.id]).body, name, lines, (*within, node.id)) \
            if node.id in lines else "0"
    parts = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    if isinstance(node, ast.Call):
        parts = node.args
    slopes = [_of(part, name, lines, within) for part in parts]
    if all(slope == "0" for slope in slopes):
        return "0"
    texts = [ast.unparse(part) for part in parts]
    shown = ast.unparse(node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return f"(-{slopes[0]})" if isinstance(node.op, ast.USub) else slopes[0]
    if isinstance(node, ast.BinOp):
        return _of_operation(node.op, texts, slopes, shown)
    if isinstance(node, ast.Call):
        return _of_call(ast.unparse(node.func), texts, slopes, shown)
    raise Kink(f"{shown!r} jumps where {name} does not")


def _of_operation(operator, texts, slopes, shown):
    (left, right), (a, b) = [f"({text})" for text in texts], slopes
    if isinstance(operator, (ast.Add, ast.Sub)):
        sign = "+" if isinstance(operator, ast.Add) else "-"
        if b == "0":
            return a
        return f"({a} {sign} {b})" if a != "0" else (b if sign == "+" else f"(-{b})")
    if isinstance(operator, ast.Mult):
        return _sum(_times(a, right), _times(b, left))
    if isinstance(operator, ast.Div):
        if b == "0":
            return f"{a}/{right}"
        quotient = f"({left}/{right})"
        if a == "0":
            return f"(-{b}*{quotient}/{right})"
        return f"(({a} - {b}*{quotient})/{right})"
    if isinstance(operator, ast.Pow):
        if b == "0":
            return f"{right}*{left}**({texts[1]} - 1)*{a}"
        power = f"{left}**{right}"
        return _sum(_times(a, f"{right}*{left}**({texts[1]} - 1)"),
                    _times(b, f"log({left})*{power}"))
    raise Kink(f"{shown!r} has jumps")


def _of_call(function, texts, slopes, shown):
    if function == "clip":
        if slopes[1:] != ["0", "0"]:
            raise Kink(f"the bounds of {shown!r} move")
        x, low, high = (f"({text})" for text in texts)
        return f"{slopes[0]}*int({x} > {low})*int({x} < {high})"
    if function not in _OF_FUNCTIONS:
        raise Kink(f"{shown!r} has none")
    return _times(slopes[0], _OF_FUNCTIONS[function].format(x=texts[0]))


def _times(a, b):
    if "0" in (a, b):
        return "0"
    return b if a == "1" else a if b == "1" else f"{a}*{b}"


def _sum(a, b):
    if "0" in (a, b):
        return b if a == "0" else a
    return f"({a} + {b})"


# ---------------------------------------------------------------------------- numbers

_NUMBERS = {name: getattr(np, name) for name in (
    "exp", "log", "log10", "sqrt", "sin", "cos", "tan", "tanh", "sinh", "cosh", "abs", "sign",
    "clip", "floor", "ceil", "arcsin", "arccos", "arctan", "log1p", "expm1", "pi")}
_NUMBERS |= {"int": lambda x: float(int(x)), "erf": scipy.special.erf, "e": np.e,
             "exprel": scipy.special.exprel}


def same(one: str, other: str, lines: Mapping[str, str], fixed: Mapping[str, float],
         tolerance: float = 1e-9) -> bool:
    """Whether two expressions give the same numbers, whatever the values of what they read.

    `lines` are subexpressions: word -> text; `fixed` are values of words; all other words get
    random ones; `tolerance` is relative. A function that is not known here makes no two expressions
    the same.
    """
    rng = np.random.default_rng(0)
    for _ in range(60):
        values = _Values(lines, rng, fixed)
        try:
            with np.errstate(all="ignore"):
                first, second = values.of(one), values.of(other)
        except (ArithmeticError, LookupError, NameError, ValueError, RecursionError):
            return False  # a word's own line may read a function that is not known: a NameError
        if not np.allclose(first, second, rtol=tolerance, atol=tolerance/1000, equal_nan=True):
            return False
    return True


class _Values(dict):
    """Words with random values, and those of the lines that depend on them."""

    def __init__(self, lines, rng, fixed):
        super().__init__(fixed)
        self.lines, self.rng = lines, rng

    def __missing__(self, word):
        self[word] = self.of(self.lines[word]) if word in self.lines else self.rng.uniform(.3, 1.7)
        return self[word]

    def of(self, text):
        """The value of an expression."""
        return eval(_code(text), {"__builtins__": {}}, _Known(self))


@functools.lru_cache(maxsize=1024)
def _code(text):
    """An expression of known functions, compiled; `KeyError` for another function."""
    for node in ast.walk(tree(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) not in _NUMBERS:
            raise KeyError(ast.unparse(node.func))
    with PARSING:
        floats = ast.fix_missing_locations(_Floats().visit(ast.parse(text, mode="eval")))
        return compile(floats, "text", "eval")


class _Floats(ast.NodeTransformer):
    def visit_Constant(self, node):
        """Powers of whole numbers may take forever."""
        return ast.Constant(float(node.value))


class _Known(dict):
    def __init__(self, values):
        super().__init__(_NUMBERS)
        self.values_ = values

    def __missing__(self, word):
        return self.values_[word]
