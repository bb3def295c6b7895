"""How a task was made: remembered with it, so that a file of a run can name its task."""

import functools
from collections.abc import Callable
from typing import Any

from bioopzo.tasks.trials import Task


def noted(task: Any, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """The `task`, which knows now that the function called `name` made it; see `Task.made`."""
    if isinstance(task, Task):
        object.__setattr__(task, "made", (name, arguments, options))
    return task


@functools.cache
def remembered(name: str, function: Callable[..., Task]) -> Callable[..., Task]:
    """The `function` called `name`, whose tasks know how they were made."""
    @functools.wraps(function)
    def make(*arguments: Any, **options: Any) -> Task:
        return noted(function(*arguments, **options), name, arguments, options)

    return make
