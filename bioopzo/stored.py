"""Models and tasks as JSON: what a file holds of them, and what is made of it again.

Everything that a model is made of is data: numbers with their dimensions, arrays, text, and frozen
tables of the package (`CLASSES`). Nothing that is read is ever run: of a rule or neuron in a file
of the user's own, a model's file holds what it returned, by which the model is made again, and the
file's text, to be read.
"""

import base64
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from brian2.units.fundamentalunits import (
    Quantity,
    get_dimensions,
    get_or_create_dimension,
)

from bioopzo import tasks
from bioopzo.errors import InputError
from bioopzo.network.connections import Convolution, Dense, Pooled, Sparse
from bioopzo.network.entries import Population, Projection, Start
from bioopzo.network.table import Network
from bioopzo.neurons import Neuron
from bioopzo.rules import Rule
from bioopzo.text.parameters import Parameter

#: The tables of the package that may stand in a file, by name.
CLASSES = {one.__name__: one for one in (
    Network, Population, Projection, Start, Dense, Sparse, Pooled, Convolution, Rule, Neuron,
    Parameter)}
#: The base units, in the order in which dimensions are written.
UNITS = ("m", "kg", "s", "A", "K", "mol", "cd")


def packed(value: Any) -> Any:
    """A `value` as JSON holds it; `unpacked` makes it again. `InputError` for what is no data."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Quantity):
        dimensions = get_dimensions(value)
        return {"quantity": packed(np.asarray(value)),
                "dimensions": [dimensions.get_dimension(unit) for unit in UNITS]}
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            raise InputError(f"an array of {value.dtype} cannot be written to a file")
        if not value.ndim:
            return packed(value.item())
        plain = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"))
        return {"array": base64.b64encode(plain.tobytes()).decode(), "dtype": plain.dtype.str,
                "shape": list(value.shape)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": repr(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, tuple):
        return {"tuple": [packed(one) for one in value]}
    if isinstance(value, list):
        return [packed(one) for one in value]
    if isinstance(value, Mapping):
        return {"mapping": [[packed(key), packed(one)] for key, one in value.items()]}
    if type(value).__name__ in CLASSES and dataclasses.is_dataclass(value):
        return {"is": type(value).__name__, "fields": {
            one.name: packed(getattr(value, one.name)) for one in dataclasses.fields(value)
            if one.init}}
    raise InputError(f"{value!r:.80} cannot be written to a file: numbers, text, arrays and what "
                     "is made of them can")


def unpacked(content: Any) -> Any:
    """What `packed` made `content` of; mappings are dicts. `InputError` for what it never made."""
    if isinstance(content, list):
        return [unpacked(one) for one in content]
    if not isinstance(content, dict):
        return content
    try:
        if "quantity" in content:
            return Quantity(unpacked(content["quantity"]),
                            dim=get_or_create_dimension(content["dimensions"]))
        if "array" in content:
            found = np.frombuffer(base64.b64decode(content["array"]), content["dtype"])
            return found.astype(found.dtype.newbyteorder("=")).reshape(content["shape"])
        if "number" in content:
            return float(content["number"])
        if "bytes" in content:
            return base64.b64decode(content["bytes"])
        if "tuple" in content:
            return tuple(unpacked(one) for one in content["tuple"])
        if "mapping" in content:
            return {unpacked(key): unpacked(one) for key, one in content["mapping"]}
        return CLASSES[content["is"]](**{name: unpacked(one)
                                         for name, one in content["fields"].items()})
    except (KeyError, TypeError, ValueError) as problem:
        raise InputError(f"the file holds what cannot be read: {problem!r}") from None


def reference(task: Any) -> dict[str, Any] | None:
    """How a `Task` was made, as JSON: `referred` makes it again. None where that is not known.

    Of a task in a file of the user's own, the file's text is in it, to be read.
    """
    if task is None or task.made is None:
        return None
    name, arguments, options = task.made
    try:
        found = {"name": name, "arguments": [_argument(one) for one in arguments],
                 "options": {key: _argument(one) for key, one in options.items()}}
    except InputError:  # an array, a function: no data that a file should hold
        return None
    text = tasks.own_text(name)
    return found if text is None else {**found, "file": text}


def referred(content: Mapping[str, Any]) -> tasks.Task:
    """The task that a `reference` names, made anew; `InputError` where it is not known here."""
    name, makers = content["name"], tasks.makers()
    if name not in makers:
        raise InputError(f"task {name!r} is in a file of its own, which is not known here: add it, "
                         f"bioopzo.tasks.add('{name}.py'), then it is made")
    return makers[name](*(_given(one) for one in content["arguments"]),
                        **{key: _given(one) for key, one in content["options"].items()})


def _argument(value):
    """An argument of the function that made a task: a task by its own reference."""
    if isinstance(value, tasks.Task):
        inner = reference(value)
        if inner is None:
            raise InputError(f"{value.name}: it is not known how this task was made")
        return {"task": inner}
    if isinstance(value, np.ndarray):
        raise InputError("arrays are no reference")
    return packed(value)


def _given(content):
    if isinstance(content, dict) and "task" in content:
        return referred(content["task"])
    return unpacked(content)
