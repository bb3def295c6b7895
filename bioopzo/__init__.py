"""Online pseudo-zeroth-order learning in spiking networks, as Brian2 equations one can edit."""

from . import rules
from .errors import BioopzoError, EquationError, InputError
from . import tasks
from .model import Model
from .results import Run
from .training import train

__version__ = "0.1.0"
