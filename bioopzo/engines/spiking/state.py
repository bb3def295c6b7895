"""Reading and writing the variables of a built network by name."""

import brian2 as b2
import numpy as np
from brian2.core.variables import ArrayVariable

from bioopzo.network.connections import Sparse
from bioopzo.network.spread import constants


def set_parameters(built, model, shape):
    """Write every parameter of the model into the objects that read it."""
    for key, value in constants(built.assembly, model, shape).items():
        set_array(built, key, value)


def state_variables(built):
    """Every variable that makes up the state (no constants): ``{"hidden_1.u": Variable, ...}``."""
    names = {}
    for name, obj in built.objects.items():
        if isinstance(obj, b2.StateMonitor):
            continue
        for key, variable in obj.variables.items():
            if (isinstance(variable, ArrayVariable) and not variable.read_only
                    and not variable.constant
                    and variable.owner is not None and variable.owner.name == name
                    and not key.startswith("_") and key not in ("N", "t", "dt", "t_in_timesteps")):
                names[f"{name}.{key}"] = variable
    return names


def set_array(built, key, value):
    """Set one variable, given as ``"object.variable"``, in base units; synapses pair by pair."""
    name, variable = key.split(".")
    target = built.objects[name].variables[variable]
    connection = sparse(built.assembly.synapses).get(name)
    if connection and np.size(value) == connection.mask.size:
        value = connection.gathered(value)
    target.get_value()[...] = np.asarray(value, dtype=target.dtype)


def get_array(built, key):
    """A copy of one variable, in base units; synapses pair by pair, zeros where there are none."""
    name, variable = key.split(".")
    found = built.objects[name].variables[variable]
    connection = sparse(built.assembly.synapses).get(name)
    if connection and not found.scalar:
        return connection.scattered(found.get_value())
    return np.array(found.get_value())


def sparse(synapses):
    """The connections that leave out pairs, of `synapses` (projections or their texts) by name."""
    return {name: synapse.connection for name, synapse in synapses.items()
            if isinstance(synapse.connection, Sparse)}


def count(built, name):
    """How many synapses a projection has."""
    connection = sparse(built.assembly.synapses).get(name)
    owner = built[name]
    return connection.synapses if connection else len(owner.source) * len(owner.target)
