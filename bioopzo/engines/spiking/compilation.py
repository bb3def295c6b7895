"""From generated C++ to a program: what has changed is compiled, the rest is kept.

A network of new declarations (objects, arrays, sizes) is compiled as a whole, and its compiled
parts are kept as a *base*. In the next text with the same declarations only the code objects that
differ from the base's are compiled: to functions that the linker takes before those of the base,
which are weak.
"""

import hashlib
import json
import re
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

from bioopzo.arguments import cores
from bioopzo.engines import stopping
from bioopzo.engines.spiking import kept
from bioopzo.engines.spiking.sources import HEAD, STANDARD, fingerprints
from bioopzo.engines.tools import (
    compiler,
    compiler_flags,
    compiler_stamp,
    is_clang,
    machine,
)
from bioopzo.errors import BuildError
from bioopzo.files import cache_directory

#: Vector instructions as in -O3 in 40 % of its compile time, and vectorised exp (glibc offers it
#: under this name, which -fno-finite-math-only takes away).
LOOP_FLAGS = ("-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic", "-D__FAST_MATH__")
#: The core sets up, once a chunk: it is hardly optimised. By a pragma, since what is compiled once
#: a machine (the head) is so for one set of flags.
CORE_PRAGMA = '#pragma GCC optimize ("O1")\n'
#: Units that are compiled side by side; fewer than so many code objects are one.
PARTS, SMALL = 2, 12
#: Compilers at a time, whatever the number of networks that are built.
_COMPILERS = threading.BoundedSemaphore(cores())
CORE_FILES = ("objects", "synapses_classes", "run", "main")


def flags():
    """What the compiler is told of every unit."""
    return (*compiler_flags(), *LOOP_FLAGS)


def program(folder):
    """Compile the generated files in `folder` to the program ``main`` there.

    Raises `BuildError` with the compiler's words.
    """
    folder = Path(folder)
    declared, codes = fingerprints(folder)
    place = cache_directory().with_name("bases") / _key(declared)
    with kept.lent(place) as base, _head(folder) as head:
        known = _known(base)
        changed = [name for name, text in codes.items() if known.get(name) != text]
        units = _edited(folder, changed) if known else _whole(folder, changed)
        stopping.side_by_side(lambda unit: _compile(folder, unit, head), units)
        old = ("unit0", "unit1", "core") if known else ()
        # The linker keeps the first of equal functions: those of the optimised units.
        _run(folder, [*(f"{unit}.o" for unit in units), *(str(base / f"{unit}.o") for unit in old),
                      "-o", "main"])
    if not known:
        (folder / "codes.json").write_text(json.dumps(codes))
        with suppress(OSError):  # it costs time only; that of the program will be told
            kept.keep(place, folder, [*(f"{unit}.o" for unit in units), "codes.json"]).close()


def _known(base):
    """The code objects of a base, name -> hash; none where there is no base."""
    return json.loads((base / "codes.json").read_text()) if base else {}


def _key(*parts):
    content = json.dumps([parts, flags(), CORE_PRAGMA, compiler_stamp(), machine()])
    return hashlib.sha256(content.encode()).hexdigest()[:20]


# ---------------------------------------------------------------------------- units

def _whole(folder, names):
    """Write the units of a whole network: loops in two, of weak functions, and the core."""
    once = [name for name in names if name.startswith("before_run_")
            or name.endswith("_synapses_create_generator_codeobject")]
    often = [name for name in names if name not in once]
    # Since version 2.10 Brian2 adds a source file of its own (the spike queue).
    extra = ["network.cpp", *(str(path.relative_to(folder)) for path in sorted(
        folder.rglob("*.cpp")) if path.parent not in (folder, folder / "code_objects"))]
    for k in range(PARTS):
        _write(folder, f"unit{k}", extra if k == 0 else [], often[k::PARTS], "code", weak=True)
    _write(folder, "core", [f"{name}.cpp" for name in CORE_FILES], once, "code", weak=True,
           first=CORE_PRAGMA)
    return ["unit0", "unit1", "core"]


def _edited(folder, names):
    """Write the units of what differs from a base."""
    parts = min(PARTS, -(-len(names) // SMALL))
    for k in range(parts):
        _write(folder, f"edit{k}", [], names[k::parts], "edited")
    return [f"edit{k}" for k in range(parts)]


def _write(folder, unit, files, names, space, weak=False, first=""):
    """Write a unit: whole files, then code objects, each in a namespace of its own.

    They repeat helper functions. Base and edit have different names for the namespace.
    """
    codes = {name: (folder / "code_objects" / f"{name}.cpp").read_text() for name in names}
    # What a file includes must come before its namespace opens.
    more = {header for code in codes.values()
            for header in re.findall(r"#include *<([\w./]+)>", code)} - set(STANDARD)
    lines = [first, *(f"#include <{header}>\n" for header in sorted(more))]
    lines += [f'#include "{name}"\n' for name in (
        "objects.h", "synapses_classes.h", "network.h", *files)]
    for name in names:
        call = f"_{name}" if name.startswith("before_run_") else f"_run_{name}"
        lines += [f'namespace {space}_{name} {{\n#include "code_objects/{name}.cpp"\n}}\n',
                  "__attribute__((weak)) " * weak,
                  f"void {call}() {{ {space}_{name}::{call}(); }}\n"]
    (folder / f"{unit}.cpp").write_text("".join(lines))


# ---------------------------------------------------------------------------- the compiler

def _run(folder, arguments):
    try:
        with _COMPILERS:
            done = stopping.ran([compiler(), *arguments], folder)
    except OSError as problem:
        raise BuildError(f"the compiler {compiler()} cannot be run: {problem.strerror}") from None
    made = folder / arguments[-1]
    if done.returncode or not made.exists():
        raise BuildError(f"the compiler {compiler()} refused the generated network:\n"
                         + (done.stderr or "it wrote nothing")[-3000:])


def _compile(folder, unit, head):
    """Compile a unit with the compiled head, or without where it is the head that is wrong."""
    def tried(head):
        _run(folder, ["-c", *flags(), "-I.", "-include", str(head), f"{unit}.cpp",
                      "-o", f"{unit}.o"])

    try:
        tried(head)
    except BuildError:
        if head.parent == folder:
            raise
        tried(folder / HEAD)
        kept.remove(head.parent)


@contextmanager
def _head(folder):
    """The head to include: that in the cache, which is compiled, else the one in `folder`."""
    text = (folder / HEAD).read_text() + "".join(
        path.read_text() for path in sorted((folder / "brianlib").glob("*.h")))
    place = cache_directory().with_name("headers") / _key(text)
    with suppress(OSError, BuildError):  # it costs time only; that of the network will be told
        if not is_clang() and not kept.sound(place):  # clang wants every file where it was
            _compile_head(folder, place)
    with kept.lent(place) as found:
        yield (found or folder) / HEAD


def _compile_head(folder, place):
    with tempfile.TemporaryDirectory(prefix="bioopzo-head-") as made:
        made = Path(made)
        (made / HEAD).write_text((folder / HEAD).read_text())
        _run(folder, [*flags(), "-I.", "-x", "c++-header", HEAD, "-o", str(made / f"{HEAD}.gch")])
        kept.keep(place, made, [HEAD, f"{HEAD}.gch"]).close()
