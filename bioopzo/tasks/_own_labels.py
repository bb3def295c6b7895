"""What is wanted of a user's trials, in whatever form it comes: classes, or numbers to follow."""

from typing import Any

import numpy as np

from bioopzo.arguments import whole
from bioopzo.errors import InputError
from bioopzo.tasks.trials import one_hot

#: Classes that are named in a task's description, not more.
NAMED = 12
#: More classes are a mistake: a readout for each.
MOST_CLASSES = 100_000


def wanted_of(name: str, targets: Any, classes: int | None = None,
              ) -> tuple[np.ndarray | None, np.ndarray, tuple[Any, ...] | None]:
    """The `targets` of a task called `name`: labels or None, targets, names of classes or None.

    One value a sample is a class: texts, booleans, whole numbers (floats too). Whole numbers from 0
    are the classes themselves (`classes` of them, where it is given); anything else is counted in
    its own order, and keeps its name. Rows with a single 1 among zeros are one-hot: classes, too.
    All else is numbers to follow. Raises `InputError`.
    """
    values = _values(name, targets)
    if values.ndim == 2 and values.shape[1] > 1 and _is_one_hot(values):
        return values.argmax(axis=1), values.astype(float), None
    if values.ndim != 1:
        return None, values, None
    if values.dtype.kind == "f":
        if not (values % 1 == 0).all():  # NaN is none either
            raise InputError(f"{name}: targets of one axis are classes (texts, booleans or whole "
                             f"numbers), and {values[values % 1 != 0][0]:g} is none; what one "
                             f"readout should follow has the shape ({len(values)}, 1)")
        values = values.astype(np.int64)
    if values.dtype.kind in "iu" and (classes is not None or not len(values) or not values.min()):
        if len(values) and values.max() > MOST_CLASSES:
            raise InputError(f"{name}: labels go up to {values.max()}, and whole numbers from 0 "
                             "are classes as they stand: give them as texts, or count them from 0")
        return _counted(name, values.astype(np.int64), classes)
    kinds, labels = np.unique(values, return_inverse=True)
    if len(kinds) < 2:
        raise InputError(f"{name}: all {len(values)} labels are {kinds[0]!s}: there is nothing to "
                         "tell apart")
    if classes is not None and whole(name, "classes", classes) < len(kinds):
        raise InputError(f"{name}: classes={classes}, and there are {len(kinds)} kinds of labels")
    classes = classes or len(kinds)
    names = (*kinds.tolist(), *(f"class {k}" for k in range(len(kinds), classes)))
    return labels, one_hot(labels, classes), names


def said_of(names: tuple[Any, ...] | None) -> str:
    """Which class is what, as a sentence; '' for classes that are their own names."""
    if names is None:
        return ""
    said = ", ".join(f"{k} is {kind!s}" for k, kind in enumerate(names[:NAMED]))
    return f"Classes: {said}{' ...' if len(names) > NAMED else ''}."


def _values(name, targets):
    """Targets as an array of numbers, booleans or texts; a single column of labels as one axis."""
    try:
        values = np.asarray(targets)
    except ValueError:  # rows of different lengths
        raise InputError(f"{name}: targets must be one label a sample, or a rectangular array of "
                         "numbers") from None
    if values.dtype.kind == "O":
        found = values.ravel().tolist()
        missing = [k for k, value in enumerate(found) if value is None or value != value]
        if missing:
            raise InputError(f"{name}: the target of sample {missing[0]} is missing "
                             f"({found[missing[0]]!r})")
        kinds = {str if isinstance(value, str) else float for value in found}
        try:
            values = values.astype(kinds.pop() if len(kinds) == 1 else None)
        except (TypeError, ValueError):
            raise InputError(f"{name}: targets are texts or numbers, not both, and not "
                             f"{found[0]!r}") from None
    if values.dtype.kind in "USb" and values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.dtype.kind not in ("biufUS" if values.ndim == 1 else "biuf"):
        raise InputError(f"{name}: targets must be one label a sample, or a rectangular array of "
                         f"numbers, not {values.dtype} of shape {values.shape}")
    return values


def _is_one_hot(values):
    return bool(((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all())


def _counted(name, labels, classes):
    """Whole numbers that are the classes themselves."""
    if len(labels) and labels.min() < 0:
        raise InputError(f"{name}: classes are counted from 0, and the smallest is {labels.min()}")
    most = int(labels.max(initial=1))
    classes = most + 1 if classes is None else whole(name, "classes", classes)
    if most >= classes:
        raise InputError(f"{name}: classes={classes}, and there is a class {most}")
    return labels, one_hot(labels, classes), None
