"""Numbers with their units as a Python script says them, to the last bit."""

import brian2.units
import numpy as np

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
