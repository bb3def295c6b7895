"""A network as one compiled program, to which a chunk of trials is a file.

A chunk is a number of trials, from a given state, with given parameters and tables, to a new
state. A long run is chunks in a row; nothing is lost in between, because the state holds every
variable (there are no delays, so no spike is in flight).
"""

import json
import os
import shutil
import signal
import tempfile
import threading
import time
import warnings
import weakref
from pathlib import Path

import brian2 as b2

from bioopzo.engines import stopping
from bioopzo.engines.spiking import exchange, kept
from bioopzo.engines.spiking.build import assemble
from bioopzo.engines.spiking.compilation import LOOP_FLAGS, program
from bioopzo.engines.spiking.sources import generate
from bioopzo.engines.spiking.state import sparse
from bioopzo.engines.tools import compiler, machine, wanted_flags
from bioopzo.errors import BuildError
from bioopzo.exact import digest
from bioopzo.files import cache_directory

#: Counts the ways a compiled program and this module talk; a change needs a new build.
PROTOCOL = 11
FILES = ("main", "manifest.json")
#: A lock on each program that this process has looked for.
_OPENING: dict[str, threading.Lock] = {}
_OPENING_LOCK = threading.Lock()


def identity(model, shape, lazy=True, precision="double", record=()):
    """A short hash of all that a program depends on, the same in every process.

    No compiler is asked: a program that is kept runs without one.
    """
    assembly = assemble(model, shape.duration, shape.varying, lazy, bool(shape.events),
                        step=shape.step, precision=precision, masks=shape.masks > 1)
    return digest((PROTOCOL, [*assembly.groups.values(), *assembly.synapses.values()], model.sizes,
                   shape, precision, b2.__version__, wanted_flags(), LOOP_FLAGS, machine(),
                   *([record] if record else [])), 20)


def is_kept(model, shape, lazy=True, precision="double"):
    """Whether the cache holds the program of a network, whole."""
    return kept.sound(cache_directory() / identity(model, shape, lazy, precision))


class Standalone:
    """A network as one compiled program, built once per text and kept in the cache."""

    name = "standalone"

    def __init__(self, model, shape, lazy=True, announce=None, precision="double",
                 record=()):
        begin = time.perf_counter()
        self.model, self.shape, self.announce = model, shape, announce
        self.lazy, self.precision = lazy, precision
        self.record = tuple(record)
        self.key = identity(model, shape, lazy, precision, self.record)
        self._open()
        self.connections = sparse({p.name: p for p in model.network.projections})
        self.start = exchange.start(self.manifest, self.connections)
        self.build_s = time.perf_counter() - begin

    def _open(self):
        """Find the program in the cache, whole, or build it.

        Of several runs of one text, the first builds it and the others wait.
        """
        self.directory = cache_directory() / self.key
        with _OPENING_LOCK:
            opening = _OPENING.setdefault(self.key, threading.Lock())
        with opening:
            self._found()

    def _found(self):
        self._held = kept.Held(self.directory)
        self.cached = kept.sound(self.directory)
        if not self.cached:
            if compiler() is None:
                raise BuildError("the standalone back end needs a C++ compiler (g++); install one "
                                 "or use backend='numpy'")
            if self.directory.exists():
                warnings.warn(f"{self.directory} is damaged and is built again; if that comes "
                              "back, remove the folder or set BIOOPZO_CACHE to another",
                              stacklevel=5)
            if self.announce:
                self.announce(f"compiling the equations of {self.model.rule_name} (once per text) "
                              "...")
            self._build()
        self.manifest = json.loads((self.directory / "manifest.json").read_text())

    def _build(self):
        with tempfile.TemporaryDirectory(prefix="bioopzo-build-") as folder:
            manifest = generate(self.model, self.shape, self.lazy, folder, self.precision,
                                self.record)
            Path(folder, "manifest.json").write_text(json.dumps(manifest))
            program(folder)
            try:
                self._held = kept.keep(self.directory, Path(folder), FILES)
            except OSError as problem:
                warnings.warn(f"compiled networks cannot be kept in {self.directory.parent} "
                              f"({problem.strerror}): each is compiled anew until you make room "
                              "or give leave to write there, or set BIOOPZO_CACHE to another "
                              "folder", stacklevel=6)
                self._keep_apart(folder)

    def _keep_apart(self, folder):
        """Keep the program in a temporary folder, as long as this object lives."""
        self.directory = Path(tempfile.mkdtemp(prefix="bioopzo-program-"))
        weakref.finalize(self, shutil.rmtree, self.directory, ignore_errors=True)
        for name in FILES:
            shutil.copy2(Path(folder, name), self.directory / name)

    def run(self, chunk):
        """Run one chunk as a process of its own; safe to call from several threads."""
        given = {**self.start, **chunk.state, **chunk.constants, **chunk.tables,
                 "trial.chunk": chunk.trials * float(self.shape.duration)}
        with tempfile.TemporaryDirectory(prefix="bioopzo-") as folder:
            with open(os.path.join(folder, "chunk.in"), "wb") as file:
                exchange.write(file, self.manifest, given, self.connections)
            self._call(folder)
            written = os.path.join(folder, "chunk.out")
            if not os.path.exists(written):
                raise BuildError(f"the compiled network {self.directory / 'main'} wrote no outcome")
            with open(written, "rb") as file:
                return exchange.read(file, self.manifest, chunk.trials, self.connections,
                                     self.record, self.shape.steps)

    def _call(self, folder, again=True):
        try:
            code, words = self._ran(folder)
        except OSError as problem:
            code, words = None, f"it cannot be run: {problem.strerror}"
        if code is not None and -code in stopping.ALL:
            raise stopping.Stopped(-code)
        if (code or words) and again and not kept.sound(self.directory):
            self._open()  # somebody has emptied the cache meanwhile
            self._call(folder, again=False)
        elif code == -signal.SIGKILL:
            raise BuildError(f"the compiled network {self.directory / 'main'} was killed, from "
                             "outside or for want of memory")
        elif code or words:
            raise BuildError(f"the compiled network {self.directory / 'main'} stopped with code "
                             f"{code}: {words[-2000:] or 'it said nothing'}")

    def _ran(self, folder):
        """Run the program: its exit code and, where something is wrong, its words."""
        done = stopping.ran([str(self.directory / "main"), "--results_dir", folder + os.sep])
        words = done.stderr.strip() or done.stdout.strip() * bool(done.returncode)
        return done.returncode, words
