"""Small tasks as trials: each module of this folder holds one function of the module's own name.

`tasks.digits()` makes a task, `tasks.available()` lists them, `tasks.summary()` says in one line
what each is, `tasks.get("digits", coding="poisson")` makes one by name. A new task is one new file
here; it appears by itself.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable

from bioopzo.arguments import hint
from bioopzo.errors import InputError
from bioopzo.tasks.trials import Task


def _discover() -> dict[str, Callable[..., Task]]:
    found = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        if not module.name.startswith("_"):
            loaded = importlib.import_module(f"{__name__}.{module.name}")
            function = getattr(loaded, module.name, None)
            if callable(function):
                found[module.name] = function
    return found


_functions = _discover()
# The function takes the place of its module: tasks.digits is what a user calls.
globals().update(_functions)
from bioopzo.tasks.yin_yang import yin_yang_samples  # noqa: E402  (after the line above)

__all__ = ["Task", "available", "defaults", "get", "summary", "yin_yang_samples", *_functions]


def __dir__():
    return __all__


def available() -> dict[str, Callable[..., Task]]:
    """The known tasks: name -> the function that makes the `Task`."""
    return dict(_functions)


def summary() -> dict[str, str]:
    """The first line of the docstring of every task, by name."""
    texts = {name: inspect.getdoc(function) or "" for name, function in _functions.items()}
    return {name: text.partition("\n")[0] for name, text in texts.items()}


def defaults(name: str) -> dict[str, object]:
    """The options of the task called `name` with their defaults; `InputError` if unknown."""
    if not isinstance(name, str) or name not in _functions:
        raise InputError(
            f"there is no task {name!r}{hint(name, _functions)}; "
            f"the tasks are {', '.join(_functions)}"
        )
    parameters = inspect.signature(_functions[name]).parameters
    return {key: parameter.default for key, parameter in parameters.items()}


def get(name: str, **options: object) -> Task:
    """Make the task called `name` with the options of its function.

    Raises `InputError` for an unknown task or option, listing those that exist.
    """
    allowed = list(defaults(name))
    for option in options:
        if option not in allowed:
            raise InputError(
                f"{name}: there is no option {option!r}{hint(option, allowed)}; "
                f"the options are {', '.join(allowed)}"
            )
    return _functions[name](**options)
