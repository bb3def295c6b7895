"""Learning rules, one file each, as text; discovered by listing this folder.

A rule file defines ``rule(depth, **options) -> Rule``. Adding a rule is adding a file:
the command line, the comparison, the tests and the tables pick it up. A file of the user's own,
anywhere, is made known to one process by `add`; the same file put into this folder is built in.
"""

import functools
import importlib
import inspect
import keyword
import os
import pkgutil
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from bioopzo.errors import InputError, unknown
from bioopzo.text.entries import Entries
from bioopzo.text.equations import parse, substitute
from bioopzo.text.parameters import Parameter

__all__ = ["Parameter", "Rule", "add", "available", "choose", "get", "options", "parse",
           "substitute"]


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
        object.__setattr__(self, "blocks", Entries(self.blocks))
        object.__setattr__(self, "parameters", Entries(self.parameters))


#: Rules of the user's own, made known by `add`: name -> the function that makes the `Rule`.
_ADDED: dict[str, Callable[..., "Rule"]] = {}


@functools.cache
def _built_in():
    """The rules of this folder; a folder does not change while Python runs."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    return {name: importlib.import_module(f"{__name__}.{name}").rule for name in names}


def available():
    """The known rules, built in and added: name -> the function that makes the `Rule`."""
    return MappingProxyType({**_built_in(), **_ADDED})


def add(path):
    """Make a rule in a file of your own, at `path`, known to this process; returns its name.

    The name is the file's, without ``.py``. The file defines ``rule(depth, **options) -> Rule``,
    every option with a default, exactly as the files in this folder do (``from . import Rule``
    works there, too: a copy of one of them is a good start). Adding a file again takes its text
    anew; models made before keep the rule they were made with.

    Raises `InputError` for a file that is missing, fails (with its line), has no function
    ``rule``, returns no `Rule`, or has the name of a built-in rule.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"a rule is added by the path of its file, not by {path!r}")
    path = Path(path).expanduser().resolve()
    name = path.stem
    if path.suffix != ".py" or not name.isidentifier() or keyword.iskeyword(name) \
            or name.startswith("_"):
        raise InputError(f"a rule's file is named as Python names a module, e.g. my_rule.py, not "
                         f"{path.name!r}")
    if name in _built_in():
        raise InputError(f"{path}: a built-in rule is called {name!r}; give the file another name")
    make = _reported(_loaded(path), path)
    made = make(2)
    if not isinstance(made, Rule):
        raise InputError(f"{path}: rule(depth) must return a bioopzo.rules.Rule, not {made!r}")
    _ADDED[name] = make
    return name


def _loaded(path):
    """The function `rule` of a file, which is run as if it lay in this folder."""
    try:
        text = path.read_bytes()
    except OSError as problem:
        raise InputError(f"the rule file {path} cannot be read: {problem.strerror}") from None
    # Not by import, which may take a file from its cache that was written again a moment ago.
    defined = {"__name__": f"{__name__}.{path.stem}", "__package__": __name__,
               "__file__": str(path)}
    try:
        exec(compile(text, str(path), "exec"), defined)
    except Exception as problem:
        raise _fault(path, problem) from problem
    function = defined.get("rule")
    if not inspect.isfunction(function):
        raise InputError(f"{path}: there is no function rule(depth, **options) in it")
    depth, *others = list(inspect.signature(function).parameters.values()) or [None]
    if depth is None or depth.name != "depth":
        raise InputError(f"{path}: the first argument of rule is depth, the number of hidden "
                         "layers")
    for option in others:
        if option.default is option.empty:
            raise InputError(f"{path}: option {option.name!r} of rule needs a default")
    return function


def _reported(function, path):
    """The function, with an `InputError` that names the line where its own code fails."""
    @functools.wraps(function)
    def make(depth, **options):
        try:
            return function(depth, **options)
        except InputError:
            raise
        except Exception as problem:
            raise _fault(path, problem) from problem

    return make


def _fault(path, problem):
    """What failed in the user's file, and in which of its lines."""
    if isinstance(problem, SyntaxError) and problem.filename == str(path):
        places, what = [(problem.lineno, problem.text)], problem.msg
    else:
        places = [(frame.lineno, frame.line) for frame in
                  traceback.extract_tb(problem.__traceback__) if frame.filename == str(path)]
        what = str(problem)
    where = f", line {places[-1][0]}, {(places[-1][1] or '').strip()!r}" if places else ""
    return InputError(f"{path}{where}: {type(problem).__name__}: {what}")


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
    if str(name).endswith(".py"):
        raise InputError(f"{name!r} is a file: add it first, rule=bioopzo.rules.add({name!r})")
    if name not in available():
        raise unknown("rule", name, available())
    return available()[name]


def choose(option, value, table):
    """`table[value]`, or an `InputError` that names the option and what is allowed."""
    if value not in table:
        allowed = ", ".join(repr(key) for key in table)
        raise InputError(f"{option} is one of {allowed}, not {value!r}")
    return table[value]
