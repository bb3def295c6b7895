"""What a fault is, how it is tried, and what the faults have in common."""

import contextlib
import errno
import io
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

import bioopzo as bz
from bioopzo.errors import BioopzoError

ROOT = Path(__file__).parents[2]
#: All faults, in the order in which they stand.
FAULTS = []
#: Nothing is to be lost where nothing was saved: what is kept then.
NOTHING_RAN = "nothing ran"


@dataclass(frozen=True)
class Fault:
    """A fault: its `kind`, what is `done`, words that must be said of it, and how it is tried.

    `tried` is called with an empty folder; it returns (what was said, what is kept), and raises
    `AssertionError` where something is lost. `point` is that of FAULTS.md.
    """

    kind: str
    done: str
    says: tuple[str, ...]
    tried: Callable[[Path], tuple[str, str]]
    quick: bool = True
    point: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a fault: what was `said` and is `kept`, and what is `wrong` (empty: nothing)."""

    fault: Fault
    said: str
    kept: str
    wrong: str
    seconds: float


def fault(kind, done, *says, quick=True, point=None, given=()):
    """Add a function to `FAULTS`; `given` are its arguments after the folder."""
    def add(function):
        FAULTS.append(Fault(kind, done, says, lambda here: function(here, *given), quick, point))
        return function
    return add


def tried(fault, here):
    """The `Outcome` of a fault in an empty folder."""
    begin, said, kept = time.perf_counter(), "", "?"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said, kept = fault.tried(here)
        missing = [word for word in fault.says if word not in said]
        wrong = f"it does not say {', '.join(map(repr, missing))}" if missing else ""
        wrong = wrong or "" if said.strip() else "it says nothing"
        wrong = "a traceback" if "Traceback (most recent call last)" in said else wrong
    except AssertionError as problem:
        wrong = f"lost or wrong: {problem or traceback.format_exc()[-300:]}"
    except Exception as problem:
        wrong = f"raw {type(problem).__name__}: {problem}"
    return Outcome(fault, " ".join(said.split()), kept, wrong, time.perf_counter() - begin)


# ---------------------------------------------------------------------------- what is said

def refused(call, *given, own=(), **named):
    """What an error says that is one of the package, or the user's `own`; with its notes."""
    allowed = (BioopzoError, *([own] if own else []))
    try:
        call(*given, **named)
    except allowed as problem:
        return "\n".join([str(problem), *getattr(problem, "__notes__", ())])
    raise AssertionError("nothing was said: it was accepted")


def warned(call, *given, **named):
    """What is said in warnings, and what the call returned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = call(*given, **named)
    return "\n".join(str(one.message) for one in caught
                     if "deprecated" not in str(one.message)), found


def shell(*words, status=2):
    """What the command ``bioopzo ...`` says, in this process; its status must be this one."""
    from bioopzo.cli import main

    output = io.StringIO()
    with contextlib.redirect_stderr(output), contextlib.redirect_stdout(io.StringIO()):
        try:
            found = main(list(map(str, words)))
        except SystemExit as stop:  # argparse
            found = stop.code
    assert found == status, f"exit status {found}, not {status}: {output.getvalue()}"
    return output.getvalue()


# ---------------------------------------------------------------------------- what is trained

QUICK = dict(trials=4, evaluations=2, evaluation_trials=2, progress=False)
ENGINES = {"spiking": dict(backend="numpy"), "rate": dict(engine="rate", batch=2)}


@cache
def task():
    """A few trials of XOR."""
    full = bz.tasks.xor()
    return full.replace(splits={split: members[:6] for split, members in full.splits.items()},
                        hidden=(3,))


def model(**changes):
    """A small network."""
    return bz.Model([4, 3, 2], **changes)


def train(engine="spiking", of=None, on=None, **options):
    """A short run."""
    return bz.train(of or model(), on or task(), **{**QUICK, **ENGINES[engine], **options})


@cache
def trained(engine="spiking"):
    """One run for the faults that only need any."""
    return train(engine)


def saved(here, name="run"):
    """A run that is saved in a folder; returns its path."""
    return trained().save(here / name)


def content(here):
    """The bytes of all files in a folder, by name."""
    return {str(path.relative_to(here)): path.read_bytes() for path in sorted(here.rglob("*"))
            if path.is_file()}


def same(one, other):
    """Whether two runs ended in the same bits."""
    return one.arrays.keys() == other.arrays.keys() and all(
        np.array_equal(value, other.arrays[name]) for name, value in one.arrays.items())


# ---------------------------------------------------------------------------- what goes wrong

@contextlib.contextmanager
def patched(place, name, value):
    """Within this context an attribute is another."""
    before = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


@contextlib.contextmanager
def full(folder, after=0):
    """Within this context the disk that a folder is on is full, `after` so many files."""
    done, fsync = [], os.fsync

    def write(handle):
        inside = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if folder in inside.parents:
            done.append(inside)
            if len(done) > after:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return fsync(handle)

    with patched(os, "fsync", write):
        yield


#: What every script begins with: signals as in a shell, whatever started the tests, and a task.
HEAD = """
    import os, signal, sys, time, warnings
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup ignores
    warnings.simplefilter("ignore")
    import bioopzo as bz
    here = sys.argv[1]
    task = bz.tasks.xor()
    task = task.replace(splits={k: v[:6] for k, v in task.splits.items()}, hidden=(3,))
"""


def script(text, here, **options):
    """A Python process that runs a script in the folder `here`: `Popen`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
                   "JAX_PLATFORMS": "cpu", "TMPDIR": str(here / "tmp"), **options}
    (here / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HEAD) + textwrap.dedent(text), str(here)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=here,
        start_new_session=True)


def reached(process, path, limit=60):
    """Wait until a process has made a file."""
    begin = time.monotonic()
    while not path.exists():
        assert process.poll() is None, f"it ended early: {process.communicate()[1][-500:]}"
        assert time.monotonic() - begin < limit, f"{path.name} never came"
        time.sleep(0.02)


def signalled(process, number, limit=30):
    """What a process says after a signal: (stdout, stderr, seconds that it took to end)."""
    begin = time.monotonic()
    os.kill(process.pid, number)
    try:
        output, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"it did not end within {limit} s") from None
    return output, errors, time.monotonic() - begin


def folder():
    """An empty folder that goes with the context."""
    return tempfile.TemporaryDirectory(prefix="bioopzo-faults-")


def each(kind, table, point=None, **options):
    """Add a fault for each entry of a table: what is done -> (call, words); nothing runs."""
    for done, (call, *says) in table.items():
        fault(kind, done, *says, point=point, **options)(partial(_refused_whole, call))


def _refused_whole(call, here):
    before = content(here)
    said = refused(call)
    assert content(here) == before, "it left files"
    return said, NOTHING_RAN
