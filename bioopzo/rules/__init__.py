"""Learning rules, one file each, as text; discovered by listing this folder.

A rule's file defines ``rule(depth, ...) -> Rule``; its options are further named arguments, each
with a default. Adding a rule is adding a file: the command line, the comparison, the tests and the
tables pick it up. A file of the user's own, anywhere, is made known to one process by `add`; the
same file put into this folder is built in.

What a rule's file may import of this package is what is public here, and the files of this folder
need nothing else, so that a copy of one of them is a good start:

- ``from bioopzo.rules import Rule, Parameter``: what it returns;
- ``parse``, ``substitute``: to read and change text; ``choose``, ``InputError``: for its options;
- ``perturbation``, ``path_filter``, ``critic``, ``branches``: pieces that several rules share.
"""

from collections.abc import Callable, Iterable, Mapping
from os import PathLike

from bioopzo.errors import InputError
from bioopzo.network.blocks import unknown_blocks
from bioopzo.network.layers import completed, layered
from bioopzo.registry import Folder, choose
from bioopzo.rules._branches import branches
from bioopzo.rules._perturbation import path_filter, perturbation
from bioopzo.rules._reward import critic
from bioopzo.rules._rule import Rule
from bioopzo.text.equations import parse, substitute
from bioopzo.text.parameters import Parameter
from bioopzo.text.written import check_written

__all__ = ["InputError", "Parameter", "Rule", "add", "available", "branches", "choose", "critic",
           "get", "options", "own_text", "parse", "path_filter", "perturbation", "substitute"]


def __dir__():
    return __all__


def _check(made, depth):
    """Refuse a rule with a block that nothing reads, or layers and names that are none."""
    check_written(made)
    _check_layers(made, depth)
    if isinstance(made.needs, str) or not isinstance(made.needs, Iterable) \
            or not all(isinstance(name, str) for name in made.needs):
        raise InputError("needs is a tuple of names of variables, such as (\"xbar\", \"psi\"), "
                         f"not {made.needs!r}")
    network = completed(layered((1,) * (depth + 2)), made, made.blocks)
    problem = unknown_blocks(made.blocks, network)
    if problem:
        raise problem


def _check_layers(made, depth):
    """Refuse branches that are not those of hidden layers, of which there are `depth`."""
    layers, middle = made.branches, made.intermediate
    allowed = range(1, depth + 1)
    if not isinstance(layers, Iterable) or not all(layer in allowed for layer in layers):
        raise InputError(f"branches is a tuple of numbers of hidden layers, of {list(allowed)} "
                         f"here, not {layers!r}")
    if middle is not None and middle not in layers:
        raise InputError(f"intermediate is one of the branches, {tuple(layers)}, or None, not "
                         f"{middle!r}")


_FOLDER = Folder("rule", __name__, Rule, "rule", {"depth": "the number of hidden layers"},
                 tried=(2,), check=_check, tools=("_probe",))


def available() -> Mapping[str, Callable[..., Rule]]:
    """The known rules, built in and added: name -> the function that makes the `Rule`."""
    return _FOLDER.available()


def add(path: str | PathLike) -> str:
    """Make a rule in a file of your own, at `path`, known to this process; returns its name.

    The name is the file's, without ``.py``. The file is run; it defines
    ``rule(depth, ...) -> Rule``, whose options are further named arguments, each with a default,
    exactly as the files in this folder do. Adding a file again takes its text anew; models made
    before keep the rule they were made with.

    Raises `InputError` for a file that is missing, fails (with its line), has no function
    ``rule``, returns no `Rule` or one with a block that nothing reads, or has the name of a
    built-in rule.
    """
    return _FOLDER.add(path)


def own_text(name: str) -> str | None:
    """The text of the user's own file with the rule called `name`; None for one built in."""
    return _FOLDER.text(name)


def options(name: str) -> dict[str, object]:
    """The options of the rule called `name` with their defaults, e.g. ``{"place": "after", ...}``.

    Raises `InputError` for an unknown rule.
    """
    return _FOLDER.options(name)


def get(name: str, depth: int, **chosen: object) -> Rule:
    """The `Rule` called `name` for a network with `depth` hidden layers, with its options `chosen`.

    Raises `InputError` for an unknown rule or option, and for a rule with a block that nothing
    reads.
    """
    return _FOLDER.get(name, depth, **chosen)
