"""Online pseudo-zeroth-order learning in spiking networks, as Brian2 equations one can edit."""

import importlib

from bioopzo import moved
from bioopzo.lazily import lazily
from bioopzo.versions import VERSION

__version__ = VERSION
_PLACES = {
    "errors": "BioopzoError EquationError InputError", "model": "Model",
    "network.table": "Network", "run": "Run",
    "training.compare": "compare", "training.living": "alive", "training.search": "tune",
    "training.sweep": "sweep", "training.train": "train",
}
_MODULES = ("measures", "neurons", "plots", "rules", "tasks", "texts")
#: Modules that were public here before they moved: they still are.
_MOVED = ("figures", "gradients", "notebooks", "optimizers", "spiking")
__all__ = [*(name for names in _PLACES.values() for name in names.split()), *_MODULES, *_MOVED]
_load, _ = lazily(__name__, _PLACES, _MODULES)
moved.put_up()


def __getattr__(name):
    """Load a public name, or a module of this package, when it is first used."""
    if name in _MOVED:
        return importlib.import_module(f"{__name__}.{moved.PLACES[name]}")
    return _load(name)


def __dir__():
    return [*__all__, "__version__"]
