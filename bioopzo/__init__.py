"""Online pseudo-zeroth-order learning in spiking networks, as Brian2 equations one can edit."""

import importlib

__all__ = ["BioopzoError", "EquationError", "InputError", "Model", "Run", "compare", "gradients",
           "measures", "notebooks", "optimizers", "plots", "rules", "spiking", "tasks", "train"]
__version__ = "0.1.0"
#: Where a public name lives that is not a module. Brian2 takes seconds to import: what does not
#: need it (the command line, figures that are up to date) should not wait for it.
_PLACES = {"BioopzoError": "errors", "EquationError": "errors", "InputError": "errors",
           "Model": "model", "Run": "results", "compare": "comparison", "train": "training"}


def __getattr__(name):
    """Load a public name, or a module of this package, when it is first used."""
    if name in _PLACES:
        value = getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)
        globals()[name] = value
        return value
    if not name.startswith("_"):
        try:
            return importlib.import_module(f".{name}", __name__)
        except ModuleNotFoundError as problem:
            if problem.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*__all__, "__version__"]
