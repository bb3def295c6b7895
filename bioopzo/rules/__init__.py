"""Learning rules, one file each, as text; discovered by listing this folder.

A rule file defines ``rule(depth, **options) -> Rule``. Adding a rule is adding a file:
the command line, the comparison, the tests and the tables pick it up.
"""

import functools
import importlib
import inspect
import pkgutil
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Mapping

from ..errors import InputError, unknown

__all__ = ["Rule", "available", "choose", "get", "options"]


def __dir__():
    return __all__


@dataclass(frozen=True)
class Rule:
    """A learning rule: text blocks that fill or replace those of the network.

    `name` is that of its file, `summary` says in one line what it does. `blocks` maps a block name
    (``"hidden"``, ``"forward"``, ``"feedback.pair.learn"`` ...) to text; `parameters` maps a name
    to a `Parameter`; `source` is short, `reference` the full entries of what to cite, an empty line
    between two; `matrix` names the feedback matrix (``"M"``, ``"B"`` or empty) and `feedback_scale`
    the standard deviation of its start (0: zeros); `perturbs` is empty, ``"hold"`` (one hold a
    trial) or ``"pair"`` (antithetic holds); `branches` are the hidden layers with a readout of
    their own, `intermediate` the one of them whose error also goes to the layers below; `needs` are
    the variables of the hidden neuron that the rule's text reads, so that an edited neuron can be
    checked for them.
    """

    name: str
    summary: str
    source: str
    blocks: Mapping[str, str]
    parameters: Mapping[str, object] = field(default_factory=dict)
    reference: str = ""
    matrix: str = ""
    feedback_scale: float = 0.0
    perturbs: str = ""
    branches: tuple = ()
    intermediate: int | None = None
    needs: tuple = ("xbar", "psi", "g")

    def __post_init__(self):
        object.__setattr__(self, "blocks", MappingProxyType(dict(self.blocks)))
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))


@functools.lru_cache(maxsize=None)
def available():
    """The known rules: name -> the function that makes the `Rule`."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    return MappingProxyType(
        {name: importlib.import_module(f"{__name__}.{name}").rule for name in names}
    )


def options(name):
    """The options of the rule called `name` with their defaults, e.g. ``{"place": "after", ...}``.

    Raises `InputError` for an unknown rule.
    """
    signature = inspect.signature(_maker(name))
    return {key: p.default for key, p in signature.parameters.items() if key != "depth"}


def get(name, depth, **chosen):
    """The `Rule` called `name` for a network with `depth` hidden layers.

    Raises `InputError` for an unknown rule or option.
    """
    allowed = options(name)
    for key in chosen:
        if key not in allowed:
            raise unknown(f"option of rule {name}", key, allowed)
    return _maker(name)(depth, **chosen)


def _maker(name):
    if name == "_probe":  # the tool of `measures.jacobian`; hidden from users
        return importlib.import_module(f"{__name__}._probe").rule
    if name not in available():
        raise unknown("rule", name, available())
    return available()[name]


def choose(option, value, table):
    """`table[value]`, or an `InputError` that names the option and what is allowed."""
    if value not in table:
        allowed = ", ".join(repr(key) for key in table)
        raise InputError(f"{option} is one of {allowed}, not {value!r}")
    return table[value]
