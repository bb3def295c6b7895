"""What is written into a Python script: numbers with their units, to the last bit, and texts.

A saved run is data, and may come from anybody: none of its texts may become code.
"""

import brian2.units
import numpy as np

from bioopzo.errors import InputError

#: The units in which people give times and rates; others are given in their base unit.
_USUAL = {"second": (("ms", 1e-3), ("second", 1.0)), "hertz": (("Hz", 1.0), ("hertz", 1.0)),
          "volt": (("mV", 1e-3), ("volt", 1.0)), "1": (("", 1.0),)}


def written(value: float, unit: str) -> tuple[str, str]:
    """A number `value` in base units of `unit` (``"second"``) as a script writes it: ``"10*ms"``.

    With the name of the unit to be imported, ``"ms"``; it is empty, and the number is in base
    units, where the unit has no name of its own.
    """
    for name, scale in _USUAL.get(unit, ((unit, 1.0),)):
        if name and not hasattr(brian2.units, name):
            break
        for digits in (6, 12, 15, 17):
            number = f"{value / scale:.{digits}g}"
            if float(number) * scale == value and np.isfinite(value):
                return (f"{number}*{name}" if name else number), name
    return repr(float(value)) if np.isfinite(value) else f'float("{float(value)}")', ""


def quoted(text: str) -> str:
    """A `text` as a string of Python, in double quotes where it has nothing to be escaped."""
    return repr(text) if set(text) & {'"', "\\", "\n", "\r"} or not text.isprintable() else \
        f'"{text}"'


def block(text: str, indented: str) -> str:
    """A `text` of several lines as a string of Python; `indented` is the same as it is to look."""
    plain = '"' not in text and "\\" not in text and all(
        line.isprintable() for line in text.split("\n"))
    return f'"""\n{indented}\n"""' if plain else repr(text)


def comment(text: object) -> str:
    """A `text` in one line, as a comment or a line of a docstring holds it."""
    line = " ".join(str(text).split()).replace("\\", "/").replace('"', "'")
    return "".join(letter for letter in line if letter.isprintable())


def word(name: str) -> str:
    """The `name` of an object, if it can be one in Python; else `InputError`."""
    if not (name.isidentifier() and name.isascii()):
        raise InputError(f"{name!r} cannot be the name of an object in a script")
    return name
