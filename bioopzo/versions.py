"""The number of this version, and those of everything else that a result depends on."""

import functools
import importlib.metadata
import platform

VERSION = "0.2.0"
#: Packages, beside Python and our own, that a result depends on.
OTHERS = ("brian2", "jax", "jaxlib", "numpy", "scipy", "sympy", "matplotlib")


def versions() -> dict[str, str]:
    """Versions of everything a result depends on; bioopzo's is that of the code that runs.

    An installation in place keeps the number it had on that day, and a path of Python has none:
    what is installed is asked for the other packages alone.
    """
    return {"bioopzo": VERSION, **{name: installed(name) for name in OTHERS},
            "python": platform.python_version()}


@functools.cache
def installed(name: str) -> str:
    """The version of a package, or that it is not installed; read once: what is loaded stays."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
