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
from bioopzo.network.watched import Watched
from bioopzo.text.equations import parse


def to_xarray(run: Any) -> Any:
    """The `xarray.Dataset` of a `Run`; see `Run.to_xarray`."""
    xarray = optional("xarray", "to_xarray")
    units = {**_state_units(run), **run.units}
    variables = {}
    for key, values in run.arrays.items():
        kind, _, name = key.partition("/")
        if not np.size(values) or kind == "recorded":  # accuracy without classes; `Run.recorded`
            continue
        dimensions = {} if kind == "final" else {
            f"{kind}_trial" if kind in ("training", "held_out") else "evaluation": len(values)}
        if name == "decision":
            dimensions |= {"readout": np.shape(values)[1]}
        if kind in ("final", "snapshots"):
            dimensions |= _dimensions(run, name, np.size(values) // prod(dimensions.values()))
        unit = units.get(name) if kind == "snapshots" and name in units else units.get(
            key, units.get(name))
        short = name if kind == "curve" else f"{kind}_{name}".replace(".", "_")
        variables[short] = (tuple(dimensions), np.reshape(values, tuple(dimensions.values())),
                            {"key": key} | ({"units": unit} if unit else {}))
    coordinates = {name: variables.pop(name) for name in ("trials",) if name in variables}
    return xarray.Dataset(variables, coordinates, {
        name: value if isinstance(value, (str, int, float)) and not isinstance(value, bool)
        else json.dumps(value) for name, value in run.meta.items()})


def named(chosen: Any, values: Any, samples: Any, dt_ms: float, model: Any, about: Any) -> Any:
    """What was recorded as an `xarray.Dataset`, of ``trial``, ``time`` and populations.

    `chosen` are `network.watched.Watched`, `values` an array (trials, steps, selected ...) for
    each, `samples` the indices of the trials in the task; `model` knows the units, or is None.
    `about` becomes attributes; ``"label"`` and ``"trained"`` in it, one a trial, coordinates.
    """
    xarray = optional("xarray", "record")
    units = state_units(model) if model is not None else {}
    about = dict(about)
    beside = {name: ("trial", np.asarray(about.pop(name))) for name in ("label", "trained")
              if about.get(name) is not None}
    variables: dict[str, Any] = {}
    coordinates: dict[str, Any] = {"sample": ("trial", np.asarray(samples)), **beside}
    for one, array in zip(chosen, values):
        # A part of a dimension is one of its own where another variable has another part.
        names = []
        for name, indices in one.axes:
            label = name
            while label in coordinates and tuple(coordinates[label][1]) != indices:
                label += "_"
            coordinates[label] = (label, np.array(indices))
            names.append(label)
        variables[one.request] = (("trial", "time", *names), array, {
            "units": units.get(one.name, "")})
        steps = array.shape[1]
    coordinates["time"] = ("time", np.arange(steps) * dt_ms, {"units": "ms"})
    return xarray.Dataset(variables, coordinates, {
        name: value for name, value in about.items() if value is not None})


def recorded_data(run: Any, told: Any) -> Any:
    """What a `Run` has recorded in training; `told` is what its `meta` says of that."""
    chosen = [Watched(one["request"], one["name"], tuple(
        (name, tuple(indices)) for name, indices in one["axes"]), tuple(one["whole"]))
        for one in told["variables"]]
    samples = run.arrays["recorded/sample"]
    labels = run.arrays.get("recorded/label")
    return named(chosen, [run.arrays[f"recorded/{one.request}"] for one in chosen], samples,
                 told["dt_ms"], run.model, {
                     "rule": run.meta.get("rule"), "task": run.meta.get("task"),
                     "seed": run.meta.get("seed"), "plastic": 1, "label": labels,
                     "trained": run.arrays["recorded/trained"]})


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
    return {} if run.model is None else state_units(run.model)


def state_units(model: Any) -> dict[str, str]:
    """The base unit of every variable of a `model`: name -> unit."""
    assembly = assemble(model)
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
