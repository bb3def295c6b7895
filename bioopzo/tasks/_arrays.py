"""The arrays of a task, checked: what is wrong with each, by name, and private copies."""

from typing import Any

import numpy as np

from bioopzo.errors import InputError


def as_array(where: str, name: str, value: Any) -> np.ndarray:
    """A `value` as a rectangular array of numbers."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{where}: {name} must be a rectangular array of numbers")
    return array


def frozen(array: np.ndarray, dtype: Any) -> np.ndarray:
    """A read-only copy of an `array`, or itself where it is one."""
    ours = array.dtype == dtype and array.flags.owndata and array.flags.c_contiguous
    # Frozen already, by another Task (replace is cheap) or by whoever made a big array for one.
    if ours and not array.flags.writeable:
        return array
    array = np.array(array, dtype=dtype, order="C")
    array.flags.writeable = False
    return array


def check_finite(where: str, name: str, array: np.ndarray) -> None:
    """Refuse an `array` with a number that is not finite."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(
            f"{where}: {name} must be finite, but {name}{list(first)} = {array[first]}"
        )


def checked_targets(where: str, targets: Any, samples: int, steps: int) -> np.ndarray:
    """What readouts should show: a value for each sample, or for each of its steps."""
    targets = as_array(where, "targets", targets)
    if (
        targets.ndim not in (2, 3)
        or targets.shape[0] != samples
        or (targets.ndim == 3 and targets.shape[1] != steps)
        or targets.shape[-1] == 0
    ):
        raise InputError(
            f"{where}: targets must have the shape (samples, outputs) = ({samples}, m) or "
            f"(samples, steps, outputs) = ({samples}, {steps}, m), not {targets.shape}"
        )
    check_finite(where, "targets", targets)
    return frozen(targets, np.float64)


def checked_labels(where: str, labels: Any, samples: int, classes: int) -> np.ndarray:
    """The class of every sample."""
    labels = as_array(where, "labels", labels)
    if labels.dtype.kind not in "iu" or labels.shape != (samples,):
        raise InputError(
            f"{where}: labels must be None or {samples} whole numbers, one per sample, "
            f"not {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"{where}: labels must lie in 0 ... {classes - 1} (there are {classes} outputs), "
            f"but they span {labels.min()} to {labels.max()}"
        )
    return frozen(labels, np.int64)


def checked_names(where: str, names: Any, labels: Any, classes: int) -> tuple[Any, ...] | None:
    """What the classes are called, one name each, as plain Python values."""
    if names is None:
        return None
    if labels is None:
        raise InputError(f"{where}: class_names name classes, and there are no labels")
    found = tuple(np.asarray(names).tolist()) if np.iterable(names) else ()
    if isinstance(names, str) or not len(found) == classes == len(set(map(str, found))):
        raise InputError(f"{where}: class_names are {classes} different names, one for each class, "
                         f"not {names!r}")
    return found


def checked_mask(where: str, mask: Any, samples: int, steps: int) -> np.ndarray:
    """When the target is shown, in all trials or in each."""
    mask = as_array(where, "mask", mask)
    if mask.shape not in ((steps,), (samples, steps)):
        raise InputError(
            f"{where}: mask must have one value per step, ({steps},), or, where trials have masks "
            f"of their own, one per sample and step, ({samples}, {steps}), not {mask.shape}"
        )
    if not ((mask == 0) | (mask == 1)).all():
        raise InputError(f"{where}: mask must hold only 0 and 1")
    silent = ~np.atleast_2d(mask).any(axis=1)
    if silent.any():
        which = f" in sample {np.flatnonzero(silent)[0]}" if mask.ndim == 2 else ""
        raise InputError(f"{where}: mask is 0 throughout{which}, so the readout is never read")
    return frozen(mask, np.float64)
