"""Online pseudo-zeroth-order learning in spiking networks, as Brian2 equations one can edit."""

from . import gradients, measures, notebooks, optimizers, plots, rules, spiking, tasks
from .compare import compare
from .errors import BioopzoError, EquationError, InputError
from .model import Model
from .results import Run
from .training import train

__all__ = ["BioopzoError", "EquationError", "InputError", "Model", "Run", "compare", "gradients",
           "measures", "notebooks", "optimizers", "plots", "rules", "spiking", "tasks", "train"]
__version__ = "0.1.0"


def __dir__():
    return [*__all__, "__version__"]
