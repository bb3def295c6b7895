"""Small tasks as trials: each module of this folder holds one function of the module's own name.

`tasks.digits()` makes a task, `tasks.available()` lists them, `tasks.summary()` says in one line
what each is, `tasks.get("digits", coding="poisson")` makes one by name. Adding a task is adding a
file: the command line and the tests pick it up. A file of the user's own, anywhere, is made known
to one process by `add`; the same file put into this folder is built in. `from_arrays` makes a task
of arrays, `from_spikes`, `from_events` and `from_frames` of recordings, `neurogym` of a task of
that package, `relabelled` and `in_turn` make a task of others: a reversal, blocks, a curriculum.

What a task's file may import of this package is what is public here: ``Task``, which it returns,
and ``consecutive_splits``, ``gate`` and ``one_hot``, which make parts of it; ``choose`` and
``InputError`` for its options. `with_reward` makes of a task one that only pays for what is done.
"""

import inspect
from collections.abc import Callable, Mapping
from os import PathLike
from types import MappingProxyType

from bioopzo.errors import InputError
from bioopzo.registry import Folder, choose
from bioopzo.tasks import _neurogym, _own, _reward
from bioopzo.tasks._made import noted, remembered
from bioopzo.tasks._own import from_arrays
from bioopzo.tasks._own_events import from_events, from_frames
from bioopzo.tasks._own_spikes import from_spikes
from bioopzo.tasks.trials import Task, consecutive_splits, gate, one_hot

_FOLDER = Folder("task", __name__, Task, tried=None, helpers=("trials",))

#: Functions that make a task of others, or of another package.
_MAKERS = {name: remembered(name, function) for name, function in (
    ("in_turn", _own.in_turn), ("relabelled", _own.relabelled),
    ("with_reward", _reward.with_reward), ("neurogym", _neurogym.neurogym))}
in_turn, relabelled = _MAKERS["in_turn"], _MAKERS["relabelled"]
with_reward, neurogym = _MAKERS["with_reward"], _MAKERS["neurogym"]
# The function takes the place of its module: tasks.digits is what a user calls.
globals().update({name: remembered(name, function)
                  for name, function in _FOLDER.available().items()})
from bioopzo.tasks.yin_yang import yin_yang_samples  # noqa: E402  (after the line above)

__all__ = ["InputError", "Task", "add", "available", "choose", "consecutive_splits", "defaults",
           "from_arrays", "from_events", "from_frames", "from_spikes", "gate", "get", "in_turn",
           "makers", "neurogym", "one_hot", "options", "own_text", "relabelled", "summary",
           "with_reward", "yin_yang_samples",
           *_FOLDER.available()]


def __dir__():
    return __all__


def available() -> Mapping[str, Callable[..., Task]]:
    """Every known task, built in and added: name -> the function that makes the `Task`."""
    return MappingProxyType({name: remembered(name, function)
                             for name, function in _FOLDER.available().items()})


def makers() -> Mapping[str, Callable[..., Task]]:
    """Every function whose tasks remember how they were made (`Task.made`), by name."""
    return {**_MAKERS, **available()}


def own_text(name: str) -> str | None:
    """The text of the user's own file with the task called `name`; None for one built in."""
    return _FOLDER.text(name)


def add(path: str | PathLike) -> str:
    """Make a task in a file of your own, at `path`, known to this process; returns its name.

    The name is the file's, without ``.py``. The file is run; it defines a function of the same
    name, ``my_task(...) -> Task``, whose options are named arguments, each with a default, as the
    files in this folder do. `get` makes the task: it is not made before, since that may take long.
    Adding a file again takes its text anew.

    Raises `InputError` for a file that is missing, fails (with its line), has no such function, or
    has the name of a built-in task.
    """
    return _FOLDER.add(path)


def summary() -> dict[str, str]:
    """The first line of the docstring of every task, by name."""
    texts = {name: inspect.getdoc(function) or "" for name, function in available().items()}
    return {name: text.partition("\n")[0] for name, text in texts.items()}


def options(name: str) -> dict[str, object]:
    """The options of the task called `name` with their defaults; `InputError` if unknown."""
    return _FOLDER.options(name)


#: The older name of `options`.
defaults = options


def get(name: str, **chosen: object) -> Task:
    """The task called `name`, made with the options `chosen` of its function.

    Raises `InputError` for an unknown task or option, listing those that exist.
    """
    return noted(_FOLDER.get(name, **chosen), name, (), chosen)
