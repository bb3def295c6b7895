"""What goes into a compiled program and comes out of it: one file each way, for every chunk.

Brian2's own way, a file for every variable, costs 100 ms a chunk. `exchange` writes the program's
side, `write` and `read` are this side; a manifest names what stands in the files, in order.
"""

import numpy as np
from brian2 import Synapses
from brian2.core.variables import DynamicArrayVariable

from bioopzo.engines.spiking.chunk import Outcome, readings, spread_out
from bioopzo.engines.spiking.state import count, sparse, state_variables
from bioopzo.errors import BuildError

#: What Brian2 writes below this line of `main` is never reached.
END = "// the chunk ends here"


def exchange(device, built):
    """The C++ that reads a chunk from one file, runs it and writes the outcome to another.

    The length is data too, so it needs no compilation. Returns the manifest, which has for
    ``inputs`` and ``state`` the type, size and initial value of each variable by name and for
    ``readings`` and ``recorded`` the columns of each, and the code.
    """
    states = state_variables(built)
    constants = {f"{name}.{key}": built[name].variables[key]
                 for name, text in {**built.assembly.groups, **built.assembly.synapses}.items()
                 for key in text.constants}
    inputs, outputs, lists = [], [], {"inputs": {}, "state": {}}
    leaky = sparse(built.assembly.synapses)
    for name, variable in {**states, **constants}.items():
        dynamic = isinstance(variable, DynamicArrayVariable)
        array = device.get_array_name(variable, access_data=not dynamic)
        entry = {"dtype": np.dtype(variable.dtype).name, "size": _size(built, name, variable),
                 "sparse": not variable.scalar and name.split(".")[0] in leaky}
        size = entry["size"] * np.dtype(variable.dtype).itemsize
        place = f"(char*) {'&' * dynamic}{array}{'[0]' * dynamic}, {size}"
        lists["inputs"][name] = {**entry, "initial": _initial(name)}
        inputs.append(f"chunk_in.read({place});")
        if name in states:
            lists["state"][name] = lists["inputs"][name]
            outputs.append(f"chunk_out.write({place});")
    for name, table in built.tables.items():
        lists["inputs"][name] = {"dtype": "float64", "size": int(table.values.size), "initial": 0}
        inputs.append(f"chunk_in.read((char*) {name}_values, {table.values.nbytes});")
    lists["readings"], lists["recorded"], recorded = [], [], []
    for name in ("decision", "cost"):
        monitor = built[f"trial_{name}"]
        columns = len(monitor.record)
        lists["readings"].append(columns)
        # Brian2 would read them from a file of its own, and go on without a word where it is gone.
        recorded.append(f"for (int i = 0; i < {columns}; i++) "
                        f"{device.get_array_name(monitor.variables['_indices'])}[i] = i;")
        outputs.append(_written(device, monitor, name, columns))
    for name, monitor in built.objects.items():
        if name.startswith("record_"):
            places = monitor.record
            lists["recorded"].append(len(places))
            recorded.append(f"{{ static const int place[] = {{{', '.join(map(str, places))}}}; "
                            f"for (int i = 0; i < {len(places)}; i++) "
                            f"{device.get_array_name(monitor.variables['_indices'])}[i] = "
                            "place[i]; }")
            outputs.append(_written(device, monitor, monitor.record_variables[0], len(places)))
    chunk = device.get_array_name(built["trial"].variables["chunk"]) + "[0]"
    code = f"""
    {" ".join(recorded)}
    std::ifstream chunk_in(brian::results_dir + "chunk.in", std::ios::binary);
    {" ".join(inputs)}
    if (!chunk_in || chunk_in.peek() != EOF) {{
        std::cerr << "chunk.in has not the size this network needs" << std::endl;
        return 3;
    }}
    {built.network.name}.run({chunk}, NULL, 10.0);
    std::ofstream chunk_out(brian::results_dir + "chunk.out", std::ios::binary);
    {" ".join(outputs)}
    chunk_out.close();
    return chunk_out ? 0 : 4;
    {END}
    """
    return lists, code


def _written(device, monitor, name, columns):
    """The C++ that writes what a monitor has of a variable, row by row."""
    array = device.get_array_name(monitor.variables[name], access_data=False)
    return (f"{{ std::vector<double> row({columns}); for (int i = 0; i < {array}.n; i++) {{ "
            f"for (int j = 0; j < {columns}; j++) row[j] = {array}(i, j); "
            f"chunk_out.write((char*) row.data(), 8 * {columns}); }} }}")


def _size(built, name, variable):
    """Number of values; synapses have none before they are made."""
    owner = built[name.split(".")[0]]
    if isinstance(owner, Synapses) and not variable.scalar:
        return count(built, owner.name)
    return int(variable.size)


def _initial(name):
    return {"lastspike": -1e4, "not_refractory": 1}.get(name.split(".")[1], 0)


def start(manifest, connections):
    """The state before any trial, by name; `connections` are those that leave out pairs."""
    return {name: _spread(name, np.full(entry["size"], entry["initial"], dtype=entry["dtype"]),
                          entry, connections) for name, entry in manifest["state"].items()}


def _spread(name, value, entry, connections):
    """The values of synapses pair by pair, with zeros where there is none."""
    return connections[name.split(".")[0]].scattered(value) if entry["sparse"] else value


def write(file, manifest, given, connections):
    """Write the values in `given` as the program reads them.

    Raises `BuildError` for a wrong size, for the program would read on.
    """
    for name, entry in manifest["inputs"].items():
        value = given[name]
        if entry.get("sparse") and np.size(value) != entry["size"]:
            value = connections[name.split(".")[0]].gathered(value)
        value = np.ascontiguousarray(value, dtype=entry["dtype"])
        if value.size != entry["size"]:
            raise BuildError(f"{name} holds {value.size} values, the program expects "
                             f"{entry['size']}")
        file.write(value.tobytes())


def _taken(file, dtype, count):
    """The next `count` numbers of a file."""
    values = np.fromfile(file, dtype, count)
    if len(values) != count:
        raise BuildError(f"the compiled network wrote less than it should to {file.name}: no room "
                         "in TMPDIR, or another program in its place")
    return values


def read(file, manifest, trials, connections, record=(), steps=1):
    """The `Outcome` of a chunk of `trials` that the program wrote.

    `record` is what it was made to record, in trials of so many `steps`. Raises `BuildError` where
    the file is too short.
    """
    state = {name: _spread(name, _taken(file, entry["dtype"], entry["size"]), entry, connections)
             for name, entry in manifest["state"].items()}
    decision, cost = (_taken(file, "float64", trials * n).reshape(-1, n)
                      for n in manifest["readings"])
    recorded = [_taken(file, "float64", trials * steps * n).reshape(-1, n)
                for n in manifest["recorded"]]
    return Outcome(state, *readings(state, decision, cost),
                   spread_out(record, connections, steps, recorded))
