"""What reads recordings, the extra `events`: tonic, which is under the GPL and large, and h5py."""

import importlib
import importlib.util
from types import ModuleType

from bioopzo.errors import InputError

#: How the extra is got, for messages.
INSTALL = "pip install 'bioopzo[events]'"


def missing(package: str) -> bool:
    """Whether a package of the extra cannot be found; nothing is loaded."""
    try:
        return importlib.util.find_spec(package) is None
    except ImportError:
        return True


def needed(package: str, what: str) -> ModuleType:
    """A package of the extra, loaded; `what` is in need of it, for the message.

    Raises `InputError`, which names the extra, where it or what it needs itself is missing.
    """
    try:
        return importlib.import_module(package)
    except ImportError as problem:
        lacking = problem.name or package
        raise InputError(f"{what} needs the package {lacking}, which comes with the extra 'events' "
                         f"and not with bioopzo alone: {INSTALL}") from None
