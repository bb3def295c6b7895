"""The learning curve as it grows, drawn in a notebook while a network is trained."""

import inspect
import io
import sys
import warnings
from typing import Any

from bioopzo import plots
from bioopzo.errors import InputError
from bioopzo.model import Model
from bioopzo.run import Run
from bioopzo.tasks import Task
from bioopzo.training.log import Listener

#: Arguments of a listener that is told of what is learned, too.
WITH_WEIGHTS = 4


def listener(live: bool | Listener, model: Model, task: Task, trials: int) -> Listener | None:
    """What is called at every evaluation with (trials, accuracy or None, loss, weights); or None.

    `live` is False, True (draw in a notebook) or a function of the user's own, of (trials,
    accuracy, loss) or of (trials, accuracy, loss, weights). Without a notebook True only warns: the
    progress bar is shown as ever. Raises `InputError` for anything else.
    """
    if callable(live):
        return live if _asks_for_weights(live) else lambda *point: live(*point[:3])
    if not isinstance(live, bool):
        raise InputError("live is True, False or a function of (trials, accuracy, loss) or "
                         f"(trials, accuracy, loss, weights), not {live!r}")
    if not live:
        return None
    if not _in_notebook():
        warnings.warn("live=True draws in a notebook and there is none: only the progress bar is "
                      "shown", stacklevel=3)
        return None
    return _drawing(model, task, trials)


def _asks_for_weights(function):
    """Whether a function has four arguments to be given; `print`, which takes any, has none."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a built-in one that does not say
        return False
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
               for p in parameters) == WITH_WEIGHTS


def _in_notebook():
    """Whether this runs in a kernel that shows pictures; there, IPython is loaded already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")


def _drawing(model, task, trials):
    """A listener that draws the curve and puts each new picture in place of the last one."""
    from IPython.display import Image, display  # there in a notebook only

    curve: dict[str, list[float]] = {"trials": [], "accuracy": [], "loss": []}
    shown: list[Any] = []

    def draw(*point):  # the weights, which come last, are not drawn
        for values, value in zip(curve.values(), point):
            values.extend([] if value is None else [value])
        picture = Image(data=_picture(curve, model, task, trials), width=480)
        if shown:
            shown[0].update(picture)
        else:
            shown.append(display(picture, display_id=True))

    return draw


def _picture(curve, model, task, trials):
    """The curve so far as PNG, on an axis as long as the run."""
    import matplotlib.pyplot as plt  # takes long to import, and few draw while they train

    run = Run({f"curve/{name}": values for name, values in curve.items()},
              meta={"rule": model.rule_name, "task": task.name, "sizes": list(model.sizes)})
    fig, ax = plots.figure()
    plots.learning_curves([run], ax)
    ax.set_xlim(0, trials)
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=200)
    plt.close(fig)  # or the notebook shows it once more below
    return file.getvalue()
