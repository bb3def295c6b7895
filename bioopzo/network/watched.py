"""Which variables are to be recorded, said as text: ``"hidden_1.a"``, ``"feedback_2.M[0, :]"``."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bioopzo.errors import InputError, unknown
from bioopzo.network.assembly import assemble
from bioopzo.network.connections import Sparse
from bioopzo.text.equations import parse

_REQUEST = re.compile(r"\s*(\w+)\.(\w+)\s*(?:\[([^\[\]]*)\])?\s*")
_PART = re.compile(r"\s*(-?\d+)?\s*(?:(:)\s*(-?\d+)?\s*)?")


@dataclass(frozen=True)
class Watched:
    """A variable to be recorded, as `request` says it: `name` is ``"object.variable"``.

    `axes` are (dimension, indices) of what is selected: a population's neurons; of synapses, their
    sources and targets; nothing where an object has one value. `whole` are the lengths of these
    dimensions.
    """

    request: str
    name: str
    axes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    whole: tuple[int, ...] = ()

    @property
    def owner(self) -> str:
        """The object."""
        return self.name.split(".")[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """How much is selected along each dimension."""
        return tuple(len(indices) for _, indices in self.axes)

    @property
    def places(self) -> np.ndarray:
        """The places of what is selected among all values of the variable, in a row."""
        if not self.axes:
            return np.zeros(1, int)
        return np.ravel_multi_index(np.ix_(*(indices for _, indices in self.axes)),
                                    self.whole).ravel()


def watched(model: Any, requests: Iterable[str]) -> tuple[Watched, ...]:
    """What is to be recorded of a `model`; `requests` is a list of texts, or one text.

    Raises `InputError` for what cannot be read, unknown objects and variables, and indices that
    there are not.
    """
    requests = (requests,) if isinstance(requests, str) else tuple(requests)
    if not requests:
        raise InputError('record takes names of variables, e.g. ["hidden_1.u", "forward_1.w"]')
    assembly = assemble(model, lazy=False)
    objects: Mapping[str, Any] = {**assembly.groups, **assembly.synapses}
    return tuple(_watched(model, objects, request) for request in dict.fromkeys(requests))


def _watched(model, objects, request):
    found = _REQUEST.fullmatch(request) if isinstance(request, str) else None
    if not found:
        raise InputError('what is recorded is called "hidden_1.u", "forward_1.w" or, for a part, '
                         f'"feedback_2.M[0, :]", not {request!r}')
    owner, variable, part = found.groups()
    if owner not in objects:
        raise unknown("population or projection", owner, objects)
    lines = {line.name: line for line in parse(objects[owner].equations, owner)}
    constants = objects[owner].constants
    if variable not in lines or variable in constants:
        raise unknown(f"variable of {owner}", variable, [name for name in lines
                                                         if name not in constants])
    dimensions = _dimensions(model, objects, owner)
    if "shared" in lines[variable].flags or owner in ("trial",):
        dimensions = {}
    parts = [] if part is None else part.split(",")
    if len(parts) > len(dimensions):
        raise InputError(f"{request!r}: {owner}.{variable} has "
                         f"{len(dimensions) or 'no'} dimensions ({', '.join(dimensions)})")
    parts += [":"] * (len(dimensions) - len(parts))
    axes = tuple((name, _indices(request, name, size, text))
                 for (name, size), text in zip(dimensions.items(), parts))
    return Watched(request, f"{owner}.{variable}", axes, tuple(dimensions.values()))


def _dimensions(model, objects, owner):
    """The dimensions of a variable of an object: name -> length."""
    thing = objects[owner]
    if hasattr(thing, "size"):
        return {owner: thing.size}
    ends = {thing.source: objects[thing.source].size}
    other = thing.target if thing.target != thing.source else f"{thing.target}_post"
    return {**ends, other: objects[thing.target].size}


def _indices(request, name, size, text):
    """The indices that a part such as ``3`` or ``2:5`` selects of so many."""
    found = _PART.fullmatch(text)
    if not found or not text.strip():
        raise InputError(f"{request!r}: a part is a number, as 3, or a range, as : or 2:5, not "
                         f"{text.strip()!r}")
    first, is_range, last = found.groups()
    if is_range:
        chosen = range(size)[slice(*(None if x is None else int(x) for x in (first, last)))]
        if not len(chosen):
            raise InputError(f"{request!r}: {text.strip()} selects nothing of {name}, which has "
                             f"{size}")
        return tuple(chosen)
    if not -size <= int(first) < size:
        raise InputError(f"{request!r}: {name} has the numbers 0 to {size - 1}, not {first}")
    return (int(first) % size,)


def asks_for_dense(chosen: Iterable[Watched], lazy: Any) -> bool:
    """Whether recording asks for the dense form of plasticity, `lazy` being the other `Assembly`.

    A weight that follows by events is not the one in force at every step.
    """
    for one in chosen:
        objects = {**lazy.groups, **lazy.synapses}
        names = {line.name for line in parse(objects[one.owner].equations, one.owner)}
        if one.name.split(".")[1] not in names \
                or "lazy" in getattr(objects[one.owner], "form", ""):
            return True
    return False


def places_in(one: Watched, connection: Any) -> tuple[np.ndarray, np.ndarray]:
    """Where what is selected stands among the synapses that there are, and which of it is there.

    Of neurons and of synapses all to all, that is all of it.
    """
    places = one.places
    if not isinstance(connection, Sparse) or not one.axes:
        return places, np.ones(len(places), bool)
    there = connection.mask.ravel()
    return (np.cumsum(there) - 1)[places[there[places]]], there[places]
