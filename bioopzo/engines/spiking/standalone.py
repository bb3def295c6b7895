"""Where a built network runs: in this process (numpy, cython) or as one compiled program.

Both run *chunks*: a number of trials, from a given state, with given parameters and tables, to a
new state. A long run is chunks in a row; nothing is lost in between, because the
state holds every variable (there are no delays, so no spike is in flight).
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import brian2 as b2
import numpy as np
from brian2.core.variables import DynamicArrayVariable
from brian2.units import second

from bioopzo.engines.spiking import loops
from bioopzo.engines.spiking.build import assemble, build, explain
from bioopzo.engines.spiking.chunk import Outcome, readings
from bioopzo.engines.spiking.session import standalone
from bioopzo.engines.spiking.state import state_variables
from bioopzo.engines.tools import compiler, compiler_flags
from bioopzo.errors import BuildError
from bioopzo.files import cache_directory

#: Counts the ways a compiled program and this module talk; a change needs a new build.
PROTOCOL = 3


class Standalone:
    """A network as one compiled program, built once per text and kept in the cache."""

    def __init__(self, model, shape, lazy=True, announce=None):
        begin = time.perf_counter()
        if compiler() is None:
            raise BuildError("the standalone back end needs a C++ compiler (g++); install one or "
                             "use backend='numpy'")
        self.shape = shape
        assembly = assemble(model, shape.duration, shape.varying, lazy,
                                    bool(shape.events))
        identity = json.dumps([PROTOCOL, repr(assembly), model.sizes, repr(shape), b2.__version__,
                               compiler_flags(), CORE_FLAGS, LOOP_FLAGS])
        self.directory = cache_directory() / hashlib.sha256(identity.encode()).hexdigest()[:20]
        self.cached = (self.directory / "manifest.json").exists()
        if not self.cached:
            if announce:
                announce(f"compiling the equations of {model.rule_name} (once per text) ...")
            _build_program(model, shape, lazy, self.directory)
        self.manifest = json.loads((self.directory / "manifest.json").read_text())
        self.start = {name: np.full(entry["size"], entry["initial"], dtype=entry["dtype"])
                      for name, entry in self.manifest["state"].items()}
        self.build_s = time.perf_counter() - begin

    def run(self, chunk):
        """Run one chunk as a process of its own; safe to call from several threads."""
        given = {**self.start, **chunk.state, **chunk.constants, **chunk.tables,
                 "trial.chunk": chunk.trials * float(self.shape.duration)}
        with tempfile.TemporaryDirectory(prefix="bioopzo-") as folder:
            with open(os.path.join(folder, "chunk.in"), "wb") as file:
                for name, entry in self.manifest["inputs"].items():
                    file.write(_exactly(name, given[name], entry))
            self._call(folder)
            with open(os.path.join(folder, "chunk.out"), "rb") as file:
                state = {name: np.fromfile(file, entry["dtype"], entry["size"])
                         for name, entry in self.manifest["state"].items()}
                decision, cost = (np.fromfile(file, "float64", chunk.trials * n).reshape(-1, n)
                                  for n in self.manifest["readings"])
        return Outcome(state, *readings(state, decision, cost))

    def _call(self, folder):
        command = [str(self.directory / "main"), "--results_dir", folder + os.sep]
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True)
        if -done.returncode == signal.SIGINT:
            raise KeyboardInterrupt
        if done.returncode or done.stderr.strip():
            raise BuildError(f"the compiled network stopped with code {done.returncode}: "
                             f"{(done.stderr or done.stdout).strip()[-2000:]}")


def _exactly(name, value, entry):
    """The bytes of a value; a wrong size is an error here, for the program would read on."""
    value = np.ascontiguousarray(value, dtype=entry["dtype"])
    if value.size != entry["size"]:
        raise BuildError(f"{name} holds {value.size} values, the program expects {entry['size']}")
    return value.tobytes()


def _build_program(model, shape, lazy, directory):
    """Generate, compile and move into place: a half-built program is never seen."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    workplace = tempfile.mkdtemp(prefix=".build-", dir=directory.parent)
    try:
        _generate(model, shape, lazy, workplace)
        _compile(workplace)
        try:
            os.rename(workplace, directory)
        except OSError:
            if not (directory / "manifest.json").exists():  # else another process was faster
                raise
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _generate(model, shape, lazy, workplace):
    """Write the C++ source of the network and the list of its variables."""
    with standalone() as device:
        built = build(model, shape, lazy)
        manifest, code = _exchange(device, built)
        device.insert_code("before_network_run", code)
        try:
            built.network.run(0 * second, namespace={})
        except Exception as problem:
            raise explain(problem) from problem
        device.build(directory=workplace, compile=False, run=False)
        loops.straighten(workplace, {name: (len(built[name].source), len(built[name].target))
                                     for name in built.assembly.synapses})
    (Path(workplace) / "manifest.json").write_text(json.dumps(manifest))


def _exchange(device, built):
    """The C++ that reads a chunk from one file, runs it and writes the outcome to another.

    The length is data too, so it needs no compilation. Brian2's own way, a file per
    variable, costs 100 ms a chunk. Returns the manifest (names, types, sizes, in order) and code.
    """
    states = state_variables(built)
    constants = {f"{name}.{key}": built[name].variables[key]
                 for name, text in {**built.assembly.groups, **built.assembly.synapses}.items()
                 for key in text.constants}
    inputs, outputs, lists = [], [], {"inputs": {}, "state": {}}
    for name, variable in {**states, **constants}.items():
        dynamic = isinstance(variable, DynamicArrayVariable)
        array = device.get_array_name(variable, access_data=not dynamic)
        entry = {"dtype": np.dtype(variable.dtype).name, "size": _size(built, name, variable)}
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
    lists["readings"] = []
    for name in ("decision", "cost"):
        variable = built[f"trial_{name}"].variables[name]
        columns = len(built[f"trial_{name}"].record)
        lists["readings"].append(columns)
        array = device.get_array_name(variable, access_data=False)
        outputs.append(f"for (size_t i = 0; i < {array}.n; i++) for (size_t j = 0; j < {columns}; "
                       f"j++) {{ double x = {array}(i, j); chunk_out.write((char*) &x, 8); }}")
    chunk = device.get_array_name(built["trial"].variables["chunk"]) + "[0]"
    code = f"""
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
    """
    return lists, code


def _size(built, name, variable):
    """Number of values; synapses have none before they are made, and they are all to all."""
    owner = built[name.split(".")[0]]
    if isinstance(owner, b2.Synapses) and not variable.scalar:
        return len(owner.source) * len(owner.target)
    return int(variable.size)


def _initial(name):
    return {"lastspike": -1e4, "not_refractory": 1}.get(name.split(".")[1], 0)


HEADERS = ("objects.h", "synapses_classes.h", "network.h", "brianlib/common_math.h",
           "brianlib/stdint_compat.h", "brianlib/clocks.h", "brianlib/dynamic_array.h")


#: The core only sets up. The rest: vector instructions as in -O3 in 40 % of its compile time, and
#: vectorised exp (glibc offers it under this name, which -fno-finite-math-only takes away).
CORE_FLAGS = ["-O0"]
LOOP_FLAGS = ["-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic", "-D__FAST_MATH__"]


def _compile(workplace, parts=2):
    """Compile the generated files in a few units instead of one by one: 4x less work.

    Each generated file goes into a namespace of its own, since they repeat helper functions.
    """
    folder = Path(workplace)
    names = sorted(path.stem for path in (folder / "code_objects").glob("*.cpp"))
    # What a file includes must come before its namespace opens.
    standard = {header for name in names for header in re.findall(
        r"#include *<([\w.]+)>", (folder / "code_objects" / f"{name}.cpp").read_text())}
    head = "".join(f"#include <{h}>\n" for h in sorted(standard))
    head += "".join(f'#include "{h}"\n' for h in HEADERS)
    units = ["core"]
    (folder / "core.cpp").write_text("".join(
        f'#include "{name}.cpp"\n'
        for name in ("objects", "synapses_classes", "run", "main")))
    # Since version 2.10 Brian2 adds a source file of its own (the spike queue).
    own = ("objects", "synapses_classes", "network", "run", "main", "core")
    extra = ["network.cpp", *(str(path.relative_to(folder)) for path in sorted(
        folder.rglob("*.cpp")) if path.parent.name != "code_objects" and path.stem not in own)]
    for k in range(parts):
        text = head + "".join(f'#include "{name}"\n' for name in extra if k == 0)
        for name in names[k::parts]:
            call = "_" + name if name.startswith(("before_run_", "after_run_")) else "_run_" + name
            text += (f'namespace in_{name} {{\n#include "code_objects/{name}.cpp"\n}}\n'
                     f"void {call}() {{ in_{name}::{call}(); }}\n")
        units.append(f"unit{k}")
        (folder / f"unit{k}.cpp").write_text(text)
    flags = {unit: [*compiler_flags(), *(CORE_FLAGS if unit == "core" else LOOP_FLAGS),
                    "-I."] for unit in units}

    def run(arguments):
        done = subprocess.run([compiler(), *arguments], cwd=workplace, capture_output=True,
                              text=True)
        if done.returncode:
            raise BuildError("the compiler refused the generated network:\n" + done.stderr[-3000:])

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda unit: run(["-c", *flags[unit], f"{unit}.cpp", "-o", f"{unit}.o"]),
                      units))
    # The linker keeps the first of equal functions: those of the optimised units.
    run([*(f"{unit}.o" for unit in reversed(units)), "-o", "main"])
