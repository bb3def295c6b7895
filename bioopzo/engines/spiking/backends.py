"""The places where a built network runs, by name."""

import warnings

from bioopzo.engines.spiking.runtime import Runtime
from bioopzo.engines.spiking.standalone import Standalone
from bioopzo.engines.tools import compiler
from bioopzo.errors import BuildError, unknown

BACKENDS = ("numpy", "cython", "standalone")
#: Runs of this many trials and more are compiled. On the digits (64-100-100-10, CPU time) NumPy
#: takes .4 s and .02 (bp) to .04 s (OPZO) a trial. An edited line takes .6 to 1.2 s to compile, so
#: it pays from 8 to 20 trials on; a new network takes 2.3 to 3.3 s, which pays from 80 trials on,
#: or in its second run: what is kept takes .1 s, and is preferred from the first trial.
WORTH_COMPILING = 10


def choose(backend, trials, kept=lambda: False):
    """The back end for a run of `trials`, those of evaluations too.

    It is the one asked for, else the compiled one where `kept` says that the program is there
    already, or where there is a compiler and the run is worth it.

    Raises `InputError` for an unknown name.
    """
    if backend is None:
        worth = trials >= WORTH_COMPILING and compiler() is not None
        return "standalone" if worth or kept() else "numpy"
    if backend not in BACKENDS:
        raise unknown("back end", backend, BACKENDS)
    return backend


def open_backend(backend, model, shape, lazy=True, announce=None, asked=True,
                 precision="double", record=()):
    """A ready back end with `run(chunk) -> Outcome`, `start` (its initial state) and `build_s`.

    It records what `record` says (`network.watched`), at every step of every trial.

    `announce` is called with a line of text before a compilation, which takes some seconds. Where
    nobody has `asked` for this back end, numpy runs what cannot be compiled, with a warning. The
    back end's `name` says which it is.
    """
    if backend == "standalone":
        try:
            return Standalone(model, shape, lazy, announce, precision, record)
        except BuildError as problem:
            if asked:
                raise
            reason = " ".join(str(problem).split())
            warnings.warn(f"the network is not compiled and runs more slowly, on numpy: "
                          f"{reason[:300]}; mend the compiler, or say backend='numpy'",
                          stacklevel=2)
            backend = "numpy"
    return Runtime(backend, model, shape, lazy, precision, record)
