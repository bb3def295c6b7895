"""The places where a built network runs, by name."""

import warnings

from bioopzo.engines.spiking.runtime import Runtime
from bioopzo.engines.spiking.standalone import Standalone
from bioopzo.engines.tools import compiler
from bioopzo.errors import BuildError, unknown

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


def open_backend(backend, model, shape, lazy=True, announce=None, asked=True):
    """A ready back end with `run(chunk) -> Outcome`, `start` (its initial state) and `build_s`.

    `announce` is called with a line of text before a compilation, which takes some seconds. Where
    nobody has `asked` for this back end, numpy runs what cannot be compiled, with a warning. The
    back end's `name` says which it is.
    """
    if backend == "standalone":
        try:
            return Standalone(model, shape, lazy, announce)
        except BuildError as problem:
            if asked:
                raise
            reason = " ".join(str(problem).split())
            warnings.warn(f"the network is not compiled and runs more slowly, on numpy: "
                          f"{reason[:300]}; mend the compiler, or say backend='numpy'",
                          stacklevel=2)
            backend = "numpy"
    return Runtime(backend, model, shape, lazy)
