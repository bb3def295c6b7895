"""What things are, to the last bit: what is equal has one digest, in any process, on any machine.

Python prints a quantity with eight digits and an array in part, so that two things which differ
can have one ``repr``; here a float is written in base 16 and a quantity with its dimensions.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from brian2.units.fundamentalunits import Quantity


def digest(content: Any, letters: int = 16) -> str:
    """A hash of `content`, so many `letters` long; see `described`."""
    text = json.dumps(described(content), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:letters]


def described(content: Any) -> Any:
    """`content` as JSON holds it, exactly.

    Numbers, quantities, arrays, texts, bytes, and mappings, lists, tuples and dataclasses of these.
    It does not matter what holds a number: a NumPy number or an array without dimensions is the
    number, a quantity without unit too, and a tuple is a list. Anything else is its ``repr``.
    """
    if content is None or isinstance(content, (bool, str)):
        return content
    if isinstance(content, (float, int, np.generic, np.ndarray)):
        return _number(content)
    if isinstance(content, bytes):
        return {"bytes": hashlib.sha256(content).hexdigest()}
    if isinstance(content, Mapping):
        return {"mapping": sorted(([described(key), described(value)]
                                   for key, value in content.items()), key=json.dumps)}
    if isinstance(content, (list, tuple)):
        return [described(part) for part in content]
    if isinstance(content, (set, frozenset)):
        return {"set": sorted(map(described, content), key=json.dumps)}
    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        return {type(content).__name__: {field.name: described(getattr(content, field.name))
                                         for field in dataclasses.fields(content)}}
    return {type(content).__name__: repr(content)}


def _number(value):
    """A number, a quantity or an array of either."""
    if isinstance(value, Quantity) and not value.is_dimensionless:
        return {"quantity": _number(np.asarray(value)), "dimensions": repr(value.dim)}
    array = np.asarray(value)
    if array.ndim:
        if array.dtype.kind == "O":
            return [described(part) for part in array.tolist()]
        content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return {"array": [array.dtype.str, list(array.shape),
                          hashlib.sha256(content.data).hexdigest()]}
    item = array.item()
    return {"float": item.hex()} if isinstance(item, float) else \
        item if isinstance(item, (bool, int, str)) else repr(item)
