"""Brian2's own code for a step of every group: names and units are checked on the way."""

import json
from contextlib import suppress

import brian2
from brian2.units import second

from bioopzo.engines.spiking.build import build, explain
from bioopzo.engines.spiking.session import runtime
from bioopzo.engines.spiking.state import set_parameters
from bioopzo.exact import digest
from bioopzo.files import cache_directory, write_json
from bioopzo.network.assembly import assemble
from bioopzo.network.clock import Shape


def dry_run(model):
    """Brian2's code for a step of every group, from a run of 0 ms: names and units are checked.

    Raises `EquationError`.
    """
    return abstract_code(model, Shape(60, 1e-3, False, 2))


#: What `abstract_code` found, by text, units and shape.
_ABSTRACT_CODE: dict[str, dict[str, str]] = {}


def abstract_code(model, shape):
    """Brian2's own code for one step of every group's equations: ``{"hidden_1": "_u = ..."}``.

    The network is built with one neuron a group on the numpy target and prepared for a run, so
    names and units are checked on the way. Raises `EquationError`. It takes most of the time in
    which an engine is made, so code is kept for the next model of the same text and units, also in
    the cache folder for the next process.
    """
    small = model.shrunk()
    shape = Shape(60, 1e-3, shape.varying, 2)  # on nothing else of it does the code depend
    key = _identity(small, shape)
    if key not in _ABSTRACT_CODE:
        place = cache_directory().with_name("steps") / f"{key}.json"
        found = _kept(place)
        if found is None:
            found = _asked(small, shape)
            with suppress(OSError):  # a folder that cannot be written costs time, nothing else
                write_json(place, found)
        _ABSTRACT_CODE[key] = found
    return dict(_ABSTRACT_CODE[key])


def _identity(model, shape):
    """What the code depends on, as a short hash."""
    units = tuple((name, repr(getattr(value, "dim", 1)))
                  for name, value in sorted(model.parameters.items()))
    texts = sorted(assemble(model, varying=shape.varying, lazy=False).text().items())
    return digest((texts, units, model.refractory, shape, brian2.__version__), 32)


def _kept(place):
    """Code that was asked for before, by another process too; None where there is none."""
    try:
        found = json.loads(place.read_text())
    except (OSError, ValueError):
        return None
    whole = isinstance(found, dict) and all(isinstance(text, str) for text in found.values())
    return found if whole else None


def _asked(model, shape):
    """Brian2's answer for a model with one neuron a group."""
    with runtime():
        built = build(model, shape, lazy=False, own_numbers=False)
        set_parameters(built, model, shape)
        try:
            built.network.run(0 * second, namespace={})
        except Exception as problem:
            raise explain(problem) from problem
    return {name: built[name].state_updater.abstract_code for name in built.assembly.groups}
