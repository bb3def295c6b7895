"""Neurons, one file each, as text; discovered by listing this folder.

A neuron's file defines ``neuron(...) -> Neuron``: the text of a hidden layer, with its parameters.
Its options are named arguments, each with a default. Adding a neuron is adding a file: `Model`, the
command line and the tests pick it up. A file of the user's own, anywhere, is made known to one
process by `add`; the same file put into this folder is built in.

What a neuron's file may import of this package is what is public here, and the files of this
folder need nothing else, so that a copy of one of them is a good start (``alif.py`` is written out
in full):

- ``from bioopzo.neurons import Neuron, Parameter``: what it returns;
- ``parse``, ``substitute``: to read and change text; ``choose``, ``InputError``: for its options;
- ``leaky``, ``escape_noise``: the membrane, trace and decision that most neurons here share.
"""

from collections.abc import Callable, Mapping
from os import PathLike

from bioopzo.errors import InputError
from bioopzo.neurons._leaky import escape_noise, leaky
from bioopzo.neurons._neuron import Neuron, check, check_pair, is_leaky
from bioopzo.registry import Folder, choose
from bioopzo.text.equations import parse, substitute
from bioopzo.text.parameters import Parameter

__all__ = ["InputError", "Neuron", "Parameter", "add", "available", "check_pair", "choose",
           "escape_noise", "get", "is_leaky", "leaky", "options", "own_text", "parse", "substitute"]


def __dir__():
    return __all__


_FOLDER = Folder("neuron", __name__, Neuron, "neuron", check=check)


def available() -> Mapping[str, Callable[..., Neuron]]:
    """The known neurons, built in and added: name -> the function that makes the `Neuron`."""
    return _FOLDER.available()


def add(path: str | PathLike) -> str:
    """Make a neuron in a file of your own, at `path`, known to this process; returns its name.

    The name is the file's, without ``.py``. The file is run; it defines
    ``neuron(...) -> Neuron``, whose options are named arguments, each with a default, exactly as
    the files in this folder do. Adding a file again takes its text anew; models made before keep
    the neuron they were made with.

    Raises `InputError` for a file that is missing, fails (with its line), has no function
    ``neuron``, returns no `Neuron` or one with a block that nothing reads, or has the name of a
    built-in neuron.
    """
    return _FOLDER.add(path)


def own_text(name: str) -> str | None:
    """The text of the user's own file with the neuron called `name`; None for one built in."""
    return _FOLDER.text(name)


def options(name: str) -> dict[str, object]:
    """The options of the neuron called `name` with their defaults.

    Raises `InputError` for an unknown neuron.
    """
    return _FOLDER.options(name)


def get(name: str, **chosen: object) -> Neuron:
    """The `Neuron` called `name`, with its options `chosen`.

    Raises `InputError` for an unknown neuron or option.
    """
    return _FOLDER.get(name, **chosen)
