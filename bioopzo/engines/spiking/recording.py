"""Every variable of a trial of a trained network."""

import brian2 as b2
import numpy as np
from brian2.units import second

from bioopzo.engines.spiking.build import build
from bioopzo.engines.spiking.session import runtime
from bioopzo.engines.spiking.state import (
    set_array,
    set_parameters,
    sparse,
    state_variables,
)


def record(model, shape, state, data):
    """One trial on the numpy target, every variable of interest at every step.

    Returns ``(spikes, values)`` as `measures.Recording` describes.
    """
    with runtime():
        built = build(model, shape, lazy=False)
        set_parameters(built, model, shape)
        wanted = {"trial": ["gate"], "readout": ["o"], "error": ["err", "y"], "input": ["xbar"]}
        network = model.network
        layers = [population.name for population in network.hidden]
        wanted.update({name: ["u", "xbar", "psi", "g", "S"] for name in layers})
        if model.rule.perturbs:
            wanted["trial"] = ["gate", "sigma"]
            for name in layers:
                wanted[name].append("z")
        wanted.update({projection.name: ["w"] for projection in network.forward})
        if model.coding != "current":
            wanted["input"] = ["xbar", "S"]
        monitors = {name: b2.StateMonitor(built[name], names, record=True, when="plasticity",
                                          order=-5, name=f"record_{name}")
                    for name, names in wanted.items()}
        built.network.add(*monitors.values())
        built.network.run(0 * second, namespace={})
        known = state_variables(built)
        for name, value in state.items():
            if name in known:
                set_array(built, name, value)
        for name, table in data.items():
            built.tables[name].values[...] = table
        built.network.run(shape.duration, namespace={})
        # Copies: Brian2 2.11 frees what a monitor hands out with the network.
        values = {f"{name}.{variable}": np.array(getattr(monitor, variable + "_")).T
                  for name, monitor in monitors.items() for variable in wanted[name]}
        for name, connection in sparse(built.assembly.synapses).items():
            for key in values.keys() & {f"{name}.w"}:
                values[key] = np.array([connection.scattered(step) for step in values[key]])
    spikes = {name: values.pop(f"{name}.S").astype(int) for name in ["input", *layers]
              if f"{name}.S" in values}
    return spikes, values
