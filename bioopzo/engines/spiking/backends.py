"""The places where a built network runs, by name."""

from bioopzo.engines.spiking.runtime import Runtime
from bioopzo.engines.spiking.standalone import Standalone
from bioopzo.engines.tools import compiler
from bioopzo.errors import unknown

BACKENDS = ("numpy", "cython", "standalone")
#: Shorter runs than this many trials do not repay a compilation of about ten seconds.
WORTH_COMPILING = 300


def choose(backend, trials):
    """The back end for a run of `trials`, those of evaluations too.

    It is the one asked for, else chosen by their number and by what is installed.

    Raises `InputError` for an unknown name.
    """
    if backend is None:
        return "standalone" if trials >= WORTH_COMPILING and compiler() else "numpy"
    if backend not in BACKENDS:
        raise unknown("back end", backend, BACKENDS)
    return backend


def open_backend(backend, model, shape, lazy=True, announce=None):
    """A ready back end with `run(chunk) -> Outcome`, `start` (its initial state) and `build_s`.

    `announce` is called with a line of text before a compilation, which takes some seconds.
    """
    if backend == "standalone":
        return Standalone(model, shape, lazy, announce)
    return Runtime(backend, model, shape, lazy)
