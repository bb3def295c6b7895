"""Checks of what a user typed; every message names the task, the culprit and what is allowed."""

import ast
import math
import os
from collections.abc import Collection, Iterable
from numbers import Integral, Real
from typing import Any

import brian2.units
import numpy as np
from brian2.units import second
from brian2.units.fundamentalunits import Quantity, Unit, have_same_dimensions

from bioopzo.errors import InputError, end_plainly, nearest

end_plainly()  # Brian2 has just been imported

#: From so many seeds on there is an interval; fewer are shown themselves.
ENOUGH_SEEDS = 5


def cores() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def at_a_time(jobs: object) -> int:
    """How many runs there are at a time: `jobs`, by default one on each processor."""
    return cores() if jobs is None else whole_number("jobs", jobs)


def checked_seeds(seeds: Any, what: str) -> list[int]:
    """`seeds`, those of a comparison, a sweep ... (`what`), as a list of whole numbers."""
    if isinstance(seeds, str) or not isinstance(seeds, Iterable):
        given = repr(seeds) if isinstance(seeds, (str, int, float)) else \
            f"a {type(seeds).__name__}"
        raise InputError(f"seeds is a list of whole numbers such as range(3), not {given}")
    found = [whole_number("every one of seeds", seed, least=0) for seed in seeds]
    if not found:
        raise InputError(f"a {what} needs at least one seed")
    return found


def checked_sizes(sizes: Any) -> tuple[int, ...]:
    """The sizes of the layers, `sizes`: inputs, hidden layers if any, readouts."""
    try:
        sizes = tuple(sizes)
        if not all(isinstance(n, Real) and not isinstance(n, bool) and n % 1 == 0 for n in sizes):
            raise TypeError
    except TypeError:
        raise InputError(f"sizes is a list of whole numbers, e.g. [64, 32, 10], "
                         f"not {sizes!r}") from None
    sizes = tuple(map(int, sizes))
    if len(sizes) < 2 or min(sizes) < 1:
        raise InputError("sizes needs inputs, hidden layers if any, and readouts, "
                         f"all at least 1, not {list(sizes)}")
    return sizes


def checked_names(names: Any) -> tuple[str, ...]:
    """`names`, each once, as a tuple; a text is one name."""
    names = (names,) if isinstance(names, str) else names
    try:
        return tuple(dict.fromkeys(names))
    except TypeError:
        raise InputError(f"freeze is a list of projections, e.g. ['forward_1'], not {names!r}"
                         ) from None


def checked_share(name: str, value: object) -> float:
    """`value`, the option `name`, if it is a share from 0 to less than 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise InputError(f"{name} is a share from 0 to less than 1, not {value!r}")
    return float(value)


def checked_choice(name: str, value: object) -> bool:
    """`value`, the option `name`, if it is True or False: a word such as "false" is neither."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name} is True or False, not {value!r}")
    return bool(value)


def checked_time(name: str, value: Any) -> Quantity:
    """`value`, the option `name`, if it is a time that is not negative."""
    if not have_same_dimensions(value, second) and value != 0:
        raise InputError(f"{name} is a time, e.g. 2*ms, not {value!r}")
    value = float(value) * second
    if value < 0 * second:
        raise InputError(f"{name} cannot be negative, got {value!r}")
    return value


def checked_value(name: str, value: Any, parameter: Any) -> Any:
    """`value` as a float quantity, or an `InputError` naming the parameter and its unit.

    `name` is the parameter's; `parameter` says what is known of it (its default, unit, whether it
    must be positive), or is None for one of the user's own.
    """
    try:
        number = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"parameter {name} needs a number, not {value!r}") from None
    if number.ndim or not np.isfinite(number):
        raise InputError(f"parameter {name} needs one finite number, not {value!r}")
    return checked_values(name, value, parameter)


def checked_values(name: str, values: Any, parameter: Any, why: str = "") -> Any:
    """The `values` of a parameter, a number or an array, as floats with their unit.

    `name` and `parameter` are as of `checked_value`, `why` is added to what is said of values
    that are not above zero. Raises `InputError`.
    """
    numbers = np.asarray(values, dtype=float)
    if not np.isfinite(numbers).all():
        raise InputError(f"parameter {name} needs finite numbers, not {values!r:.80}")
    # NumPy's own numbers are other text (np.float64(0.2)), and equal values are the same model.
    floats = values * 1.0 if numbers.ndim or isinstance(values, Quantity) else float(values)
    if parameter is None:
        return floats
    if not have_same_dimensions(values, parameter.default):
        example = f"{name.partition(' of ')[0]}={parameter.default!r}"
        raise InputError(f"parameter {name} has the unit {parameter.unit} (e.g. {example}), not "
                         f"that of {values!r:.80}")
    if parameter.positive and numbers.min() <= 0:
        least = values.min() if numbers.ndim else values
        raise InputError(f"parameter {name} ({parameter.meaning}) must be above zero, "
                         f"got {least!r}{why}")
    for limit, beyond, word in ((parameter.least, numbers.min(), "at least"),
                                (None if parameter.averaged else parameter.most, numbers.max(),
                                 "at most")):
        if limit is not None and (beyond < limit if word == "at least" else beyond > limit):
            unit = "" if parameter.unit == "1" else f" {parameter.unit}"
            raise InputError(f"parameter {name} ({parameter.meaning}) is {word} {limit:g}{unit}, "
                             f"not {beyond:g}{unit}{why}")
    return floats


def choice(where: str, name: str, value: object, allowed: Collection[str]) -> str:
    """`value`, if it is one of the `allowed` words; `InputError` otherwise."""
    if isinstance(value, str) and value in allowed:
        return value
    words = " or ".join(repr(word) for word in allowed)
    raise InputError(f"{where}: {name} must be {words}, not {value!r}{nearest(value, allowed)}")


def whole(where: str, name: str, value: Any, least: int = 1) -> int:
    """`value` as an int, if it is a whole number >= `least`; `InputError` otherwise."""
    good = isinstance(value, Integral) and not isinstance(value, bool)
    if good and value >= least:
        return int(value)
    raise InputError(f"{where}: {name} must be a whole number of at least {least}, not {value!r}")


def number(where: str, name: str, value: Any, least: float, below: float = math.inf) -> float:
    """`value` as a float, if `least` <= value < `below`, without a unit; else `InputError`."""
    good = isinstance(value, Real) and not isinstance(value, (bool, Quantity))
    if good and least <= value < below:
        return float(value)
    end = "" if below == math.inf else f" and below {below:g}"
    raise InputError(
        f"{where}: {name} must be a finite number of at least {least:g}{end}, without a unit, "
        f"not {value!r}"
    )


def quantity(where: str, name: str, value: object, unit: Unit, zero: bool = False) -> Quantity:
    """`value`, if it is one positive (or, with `zero`, non-negative) quantity in `unit`."""
    kind, example = ("time", "20*ms") if have_same_dimensions(unit, second) else ("rate", "200*Hz")
    if not isinstance(value, Quantity) or not have_same_dimensions(value, unit):
        shown = str(value) if isinstance(value, Quantity) else f"{value!r}, which has no unit"
        raise InputError(
            f"{where}: {name} must be a {kind} with its unit, such as {name}={example}, not {shown}"
        )
    size = float(value / unit) if value.shape == () else math.nan
    if not math.isfinite(size) or size < 0 or (size == 0 and not zero):
        sign = "zero or positive" if zero else "positive"
        raise InputError(
            f"{where}: {name} must be one {sign} {kind}, such as {name}={example}, not {value}"
        )
    return value


def step_count(where: str, duration: Quantity, dt: Quantity) -> int:
    """The number of time steps of a trial; `InputError` if `dt` does not divide `duration`."""
    quantity(where, "duration", duration, second)
    quantity(where, "dt", dt, second)
    ratio = float(duration / dt)
    steps = round(ratio)
    if steps < 1 or abs(ratio - steps) > 1e-6:
        raise InputError(
            f"{where}: dt must divide duration into whole steps, but duration={duration} is "
            f"{ratio:g} steps of dt={dt}"
        )
    return steps


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """`value`, the argument `name`, as an int if it is whole (2.0 is) and at least `least`."""
    good = isinstance(value, Real) and not isinstance(value, bool)
    if not good or value < least or value % 1 != 0:
        raise InputError(f"{name} is a whole number of at least {least}, not {value!r}")
    return int(value)


def settings_of(pairs: Iterable[str], flag: str = "--set") -> dict[str, Any]:
    """``["tau_m=10*ms", "place=before"]`` as a dict; units of Brian2 are understood.

    `flag` is the option of the shell that they come from. Raises `InputError`.
    """
    settings = {}
    for pair in pairs:
        name, found, text = pair.partition("=")
        if not found:
            raise InputError(f"{flag} takes NAME=VALUE, e.g. tau_m=10*ms, not {pair!r}")
        settings[name.strip()] = value_of(text.strip())
    return settings


def value_of(text: str) -> Any:
    """A number, True/False, a quantity such as ``10*ms``, or the word itself."""
    number, _, unit = text.partition("*")
    try:
        value = ast.literal_eval(number)
    except (ValueError, SyntaxError):
        return text
    if not unit:
        return value
    known = getattr(brian2.units, unit, None)
    if not isinstance(known, Unit):
        raise InputError(f"unknown unit {unit!r} in {text!r}; e.g. ms, Hz")
    return value * known


def several(pair: str) -> tuple[str, list[Any]]:
    """``"eta=5,10,20*Hz"`` as a name and its values: the unit at the end is that of all.

    What brackets or quotes hold together is one value. Raises `InputError`.
    """
    name, _, text = pair.partition("=")
    number, _, unit = text.rpartition("*") if "*" in text else (text, "", "")
    try:
        found = ast.literal_eval(f"[{number}]")
        words = [f"{value}*{unit}" if unit else repr(value) for value in found]
    except (ValueError, SyntaxError):  # words, or units within: each for itself
        words = text.split(",")
    return name.strip(), [value_of(word.strip()) for word in words]


def apart(pairs: Iterable[str]) -> tuple[list[str], dict[str, list[Any]]]:
    """Of `pairs` ``"NAME=VALUE"`` those with one value, and the others as name -> values."""
    values = {pair: several(pair) for pair in pairs}
    return ([pair for pair, (_, found) in values.items() if len(found) == 1],
            {name: found for name, found in values.values() if len(found) > 1})
