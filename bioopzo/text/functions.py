"""The functions that a text may call: what each is, in one table."""

import re
from dataclasses import dataclass

import brian2 as b2
import scipy.special
from brian2.core.functions import DEFAULT_FUNCTIONS


@dataclass(frozen=True)
class TextFunction:
    """A function of the text: its `meaning`, for people.

    `latex` is its command where LaTeX has one; `odd`, whether it is zero where its first argument
    is; `random`, whether it draws a number, which a statement may do and an equation may not;
    `everywhere`, whether both engines have it.
    """

    meaning: str
    latex: str = ""
    odd: bool = False
    random: bool = False
    everywhere: bool = True


TABLE = {
    "exp": TextFunction("exponential"),
    "log": TextFunction("natural logarithm", r"\log"),
    "log10": TextFunction("decimal logarithm"),
    "sqrt": TextFunction("square root", odd=True),
    "sin": TextFunction("sine", r"\sin", odd=True),
    "cos": TextFunction("cosine", r"\cos"),
    "tan": TextFunction("tangent", r"\tan", odd=True),
    "tanh": TextFunction("hyperbolic tangent", r"\tanh", odd=True),
    "sinh": TextFunction("hyperbolic sine", r"\sinh", odd=True),
    "cosh": TextFunction("hyperbolic cosine", r"\cosh"),
    "abs": TextFunction("absolute value", odd=True),
    "sign": TextFunction("-1, 0 or 1", odd=True),
    "clip": TextFunction("clip(x, low, high): x, kept within the two"),
    "int": TextFunction("1 for a condition that is true, 0 else; the whole part of a number",
                        odd=True),
    "floor": TextFunction("the greatest whole number below", odd=True),
    "ceil": TextFunction("the least whole number above", odd=True),
    "erf": TextFunction("error function", odd=True),
    "exprel": TextFunction("(exp(x) - 1)/x"),
    "arcsin": TextFunction("inverse sine", odd=True),
    "arccos": TextFunction("inverse cosine"),
    "arctan": TextFunction("inverse tangent", odd=True),
    "log1p": TextFunction("log(1 + x)", odd=True),
    "expm1": TextFunction("exp(x) - 1", odd=True),
    "rand": TextFunction("a uniform random number from 0 to 1", random=True),
    "randn": TextFunction("a normal random number", random=True),
    "timestep": TextFunction("timestep(t, dt): a time in steps", everywhere=False),
}
#: Functions that papers and other languages have, and how they are written here.
INSTEAD = {
    "max": "max(a, b) is clip(a, b, inf)", "min": "min(a, b) is clip(a, -inf, b)",
    "relu": "it is clip(x, 0, inf)", "sigmoid": "it is 1/(1 + exp(-x))",
    "heaviside": "it is int(x > 0)", "step": "it is int(x > 0)", "Theta": "it is int(x > 0)",
    "H": "it is int(x > 0)", "softplus": "it is log(1 + exp(x))", "ln": "it is log(x)",
    "sgn": "it is sign(x)", "pow": "a power is a**b", "round": "it is floor(x + 0.5)",
    "where": "where(c, a, b) is b + int(c)*(a - b)", "gauss": "it is exp(-x**2/2)",
    "normal": "a normal random number is randn(), in a statement",
    "uniform": "a uniform random number is rand(), in a statement",
    "sum": "a sum over synapses is g_post = w*x_pre : 1 (summed), in a block of synapses",
}
#: A call that draws a number, as both engines look for it.
DRAW = re.compile(r"\b(rand|randn)\s*\(\s*\)")
#: What both engines compute, beside operators and brackets.
FUNCTIONS = tuple(name for name, told in TABLE.items() if told.everywhere and not told.random)
#: Those that draw a number.
RANDOM = frozenset(name for name, told in TABLE.items() if told.random)

#: Brian2 has no error function of its own; the erf neuron's hazard needs one in every target.
ERF = b2.Function(scipy.special.erf, arg_units=[1], return_unit=1, arg_types=["float"],
                  return_type="float", stateless=True)
ERF.implementations.add_implementation("numpy", scipy.special.erf)
ERF.implementations.add_implementation("cpp", None, name="erf")
ERF.implementations.add_implementation("cython", """
cdef extern from "<math.h>":
    double erf(double)
""", name="erf")
#: As Brian2 knows them, by name.
OF_BRIAN2 = {name: DEFAULT_FUNCTIONS.get(name, ERF) for name in TABLE}
