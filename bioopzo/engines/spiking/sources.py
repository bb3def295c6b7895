"""The C++ of a network: what Brian2 writes, less what no program of ours needs.

The same text gives the same files, byte for byte, in any process.
"""

import hashlib
import re
from pathlib import Path

from brian2.units import second

from bioopzo.engines.spiking import loops
from bioopzo.engines.spiking.build import build, explain
from bioopzo.engines.spiking.exchange import END, exchange
from bioopzo.engines.spiking.session import standalone
from bioopzo.network.connections import Sparse

#: The exchange does their work: to read, write and free every array, and to set one by its name.
UNUSED = ("set_variable_by_name", "_load_arrays", "_write_arrays", "_dealloc_arrays")
#: Functions that Brian2 repeats in each file of code.
HELPERS = re.compile(r"[ \t]*template < typename T1, typename T2 > struct _higher_type;.*?"
                     r"#define _brian_pow\(x, y\) \(pow\(\(x\), \(y\)\)\)\s*#endif\n", re.DOTALL)
#: Lines that begin a clock, in an order that is that of addresses.
CLOCKS = re.compile(r"(?:^ *_array_\w+_(?:timestep|t)\[0\] = \S+;\n){2,}", re.MULTILINE)
#: What all networks include, and so what is compiled once a machine; no name of a network's own.
HEAD = "head.h"
STANDARD = ("algorithm", "climits", "cmath", "csignal", "cstdlib", "ctime", "fstream", "iostream",
            "iterator", "map", "random", "set", "stdint.h", "string", "tuple", "utility", "vector")
BRIAN = ("common_math.h", "stdint_compat.h", "clocks.h", "dynamic_array.h")


def generate(model, shape, lazy, folder, precision="double", record=()):
    """Write the C++ of a network to `folder`; returns the manifest of its exchange.

    Raises `EquationError` where Brian2 refuses the text.
    """
    with standalone(precision) as device:
        built = build(model, shape, lazy, precision=precision, record=record)
        manifest, code = exchange(device, built)
        device.insert_code("before_network_run", code)
        try:
            built.network.run(0 * second, namespace={})
        except Exception as problem:
            raise explain(problem) from problem
        device.build(directory=str(folder), compile=False, run=False)
        loops.straighten(folder, {
            **dict.fromkeys(built.assembly.groups),
            **{name: None if isinstance(text.connection, Sparse) else
            (len(built[name].source), len(built[name].target))
            for name, text in built.assembly.synapses.items()}})
    _trim(Path(folder))
    return manifest


def fingerprints(folder):
    """What the files are, as short hashes: of all that declares something, and by code object."""
    folder = Path(folder)
    codes = {path.stem: _hash(path.read_bytes())
             for path in sorted((folder / "code_objects").glob("*.cpp"))}
    shared = [path for path in sorted(folder.rglob("*")) if path.suffix in (".h", ".cpp")
              and not (path.suffix == ".cpp" and path.parent.name == "code_objects")]
    declared = _hash(b"".join(
        str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() for path in shared)
        + " ".join(codes).encode())
    return declared, codes


def _hash(content):
    return hashlib.sha256(content).hexdigest()[:20]


def _trim(folder):
    """Leave out of the files in `folder` what is never run; what looks otherwise stays."""
    objects = folder / "objects.cpp"
    objects.write_text(without_functions(objects.read_text(), UNUSED))
    main = folder / "main.cpp"
    text = without_rest(main.read_text())
    main.write_text(CLOCKS.sub(lambda found: "".join(sorted(found[0].splitlines(True))), text))
    helpers = ""
    for path in sorted((folder / "code_objects").glob("*.cpp")):
        if path.stem.startswith("after_run_") and f"_{path.stem}()" not in text:
            path.unlink()
        elif found := HELPERS.search(code := path.read_text()):
            helpers = helpers or found[0]
            path.write_text(code.replace(helpers, ""))
    (folder / HEAD).write_text("".join(
        [f"#include <{name}>\n" for name in STANDARD]
        + [f'#include "brianlib/{name}"\n' for name in BRIAN
           if (folder / "brianlib" / name).exists()] + ["namespace {\n", helpers, "}\n"]))


def without_functions(code, names):
    """The code with the bodies of the functions of these names left empty."""
    for name in names:
        code = re.sub(rf"^(void {name}\([^)]*\))\s*\{{.*?^\}}", r"\1 {}", code,
                      flags=re.MULTILINE | re.DOTALL)
    return code


def without_rest(code):
    """The code of `main` without what stands below the end of a chunk."""
    before, found, rest = code.partition(END)
    end = rest.find("brian_end();")
    return f"{before}\n\t}}\n\t{rest[end:]}" if found and end >= 0 else code
