"""Brian2's own code for a step of every group: names and units are checked on the way."""

from dataclasses import replace

from brian2.units import second

from bioopzo.engines.spiking.build import build, explain
from bioopzo.engines.spiking.session import runtime
from bioopzo.engines.spiking.state import set_parameters
from bioopzo.network.clock import Shape


def dry_run(model):
    """Brian2's code for a step of every group, from a run of 0 ms: names and units are checked.

    Raises `EquationError`.
    """
    return abstract_code(model, Shape(60, 1e-3, False, 2))


#: What `abstract_code` found, by text, units and shape.
_ABSTRACT_CODE: dict[tuple, dict[str, str]] = {}


def abstract_code(model, shape):
    """Brian2's own code for one step of every group's equations: ``{"hidden_1": "_u = ..."}``.

    The network is built with one neuron a group on the numpy target and prepared for a run, so
    names and units are checked on the way. Raises `EquationError`. It takes most of the time in
    which an engine is made, so code is kept for the next model of the same text and units.
    """
    units = tuple((name, repr(getattr(value, "dim", 1)))
                  for name, value in sorted(model.parameters.items()))
    key = (model.depth, tuple(sorted(model.blocks.items())), units, repr(model.refractory),
           replace(shape, rows=2))
    if key in _ABSTRACT_CODE:
        return dict(_ABSTRACT_CODE[key])
    small = model.shrunk()
    with runtime():
        built = build(small, replace(shape, rows=2, events=0), lazy=False)
        set_parameters(built, small, shape)
        try:
            built.network.run(0 * second, namespace={})
        except Exception as problem:
            raise explain(problem) from problem
    _ABSTRACT_CODE[key] = {name: built[name].state_updater.abstract_code
                           for name in built.assembly.groups}
    return dict(_ABSTRACT_CODE[key])
