"""The functions that a text may call."""

import brian2 as b2
import scipy.special

#: What the text may call, beside operators and brackets.
FUNCTIONS = ("exp", "log", "log10", "sqrt", "sin", "cos", "tan", "tanh", "sinh", "cosh", "abs",
             "sign", "clip", "int", "floor", "ceil", "erf", "exprel", "arcsin", "arccos", "arctan",
             "log1p", "expm1")

#: Brian2 has no error function of its own; the erf neuron's hazard needs one in every target.
ERF = b2.Function(scipy.special.erf, arg_units=[1], return_unit=1, arg_types=["float"],
                  return_type="float", stateless=True)
