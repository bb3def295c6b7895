"""Online pseudo-zeroth-order learning in spiking networks, as Brian2 equations one can edit."""

from . import rules
from .errors import BioopzoError, EquationError, InputError
from .model import Model

__version__ = "0.1.0"
