"""Runs for xarray and recordings for neo: optional packages, imported when they are asked for."""

import importlib
import json
from math import prod
from typing import Any

import numpy as np

from bioopzo.errors import InputError
from bioopzo.network.assembly import assemble
from bioopzo.network.layers import recorded
from bioopzo.network.objects import GroupText, SynapseText
from bioopzo.text.equations import parse


def to_xarray(run: Any) -> Any:
    """The `xarray.Dataset` of a `Run`; see `Run.to_xarray`."""
    xarray = optional("xarray", "to_xarray")
    units = {**_state_units(run), **run.units}
    variables = {}
    for key, values in run.arrays.items():
        kind, _, name = key.partition("/")
        if not np.size(values):  # accuracy without classes
            continue
        dimensions = {} if kind == "final" else {"evaluation": len(values)}
        if kind in ("final", "snapshots"):
            dimensions |= _dimensions(run, name, np.size(values) // prod(dimensions.values()))
        unit = units.get(key, units.get(name))
        short = name if kind == "curve" else f"{kind}_{name}".replace(".", "_")
        variables[short] = (tuple(dimensions), np.reshape(values, tuple(dimensions.values())),
                            {"key": key} | ({"units": unit} if unit else {}))
    coordinates = {name: variables.pop(name) for name in ("trials",) if name in variables}
    return xarray.Dataset(variables, coordinates, {
        name: value if isinstance(value, (str, int, float)) and not isinstance(value, bool)
        else json.dumps(value) for name, value in run.meta.items()})


def _dimensions(run, name, size):
    """The dimensions of a variable ``"object.variable"`` of so many values: name -> length."""
    network, owner = recorded(run.meta), name.split(".")[0]
    populations = network["populations"]
    ends = network["projections"].get(owner, {"ends": [owner]})["ends"]
    # The units of error populations and of local readouts are one to one the readout's.
    ends = [end if populations.get(end, {}).get("kind") in ("input", "hidden") else "readout"
            for end in ends]
    found = {end: populations[end]["size"] for end in ends}
    if len(ends) == 2 and ends[0] == ends[1]:  # recurrent: no two dimensions have one name
        found[f"{ends[1]}_post"] = populations[ends[1]]["size"]
    if prod(found.values()) == size:
        return found
    shape = run.meta.get("shapes", {}).get(name, [size])  # shared weights of a convolution
    return {f"{name}_{k}".replace(".", "_"): length for k, length in enumerate(shape)
            if length > 1}


def _state_units(run):
    """The base unit of every state variable, where the run has its model: name -> unit."""
    if run.model is None:
        return {}
    assembly = assemble(run.model)
    objects: dict[str, GroupText | SynapseText] = {**assembly.groups, **assembly.synapses}
    return {f"{owner}.{line.name}": line.unit
            for owner, text in objects.items()
            for line in parse(text.equations, owner)}


def to_neo(recording: Any) -> Any:
    """The `neo.Block` of a `Recording`; see `measures.Recording.to_neo`."""
    neo = optional("neo", "to_neo")
    meta = recording.meta
    block = neo.Block(name=f"{meta['rule']}, sample {meta['sample']}", **meta)
    segment = neo.Segment(name=f"trial of sample {meta['sample']}")
    block.segments.append(segment)
    for layer, spikes in recording.spikes.items():
        group = neo.Group(name=layer)
        for neuron in range(spikes.shape[1]):
            train = neo.SpikeTrain(recording.time[spikes[:, neuron] > 0], units="ms",
                                   t_stop=recording.time[-1] + meta["dt_ms"],
                                   name=f"{layer}[{neuron}]", layer=layer, neuron=neuron)
            segment.spiketrains.append(train)
            group.add(train)
        block.groups.append(group)
    return block


def optional(package: str, what: str) -> Any:
    """An optional `package`; `InputError` with the command that installs it where it is missing.

    `what` needs it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as problem:
        if problem.name != package:
            raise
        raise InputError(f"{what} needs the package {package}, which is not installed; "
                         f"install it with: pip install {package}") from None
