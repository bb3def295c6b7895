"""What a user's file made: whether its blocks are text that can be read, and its parameters are."""

from typing import Any

from bioopzo.errors import InputError
from bioopzo.text.equations import is_expression, parse, parse_condition
from bioopzo.text.parameters import Parameter


def check_written(made: Any) -> None:
    """Refuse a rule or neuron, `made` by a file, with blocks or parameters that are none.

    Raises `InputError` for a block that is no text or a parameter that is no `Parameter`, and
    `EquationError` with the lines of a block that cannot be read.
    """
    for name, text in made.blocks.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise InputError(f"block {name!r} is a text, not {text!r}")
        if is_expression(name):
            parse_condition(text, name)
        else:
            parse(text, name)
    for name, parameter in made.parameters.items():
        if not isinstance(parameter, Parameter):
            raise InputError(f"parameter {name!r} is a Parameter, e.g. Parameter(3.0, \"its "
                             f"meaning\"), not {parameter!r}")
