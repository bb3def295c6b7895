"""Scikit-learn's 8x8 digits, read where they lie: to import it takes a second, its file none."""

import importlib.util
from pathlib import Path

import numpy as np


def digit_images() -> tuple[np.ndarray, np.ndarray]:
    """Pixels that count 0 ... 16, (1797, 64) floats, and the labels, (1797,) whole numbers.

    Raises `ImportError` without scikit-learn.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise ImportError("the task 'digits' needs scikit-learn: pip install scikit-learn")
    kept = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not kept.exists():  # in a version that keeps them elsewhere
        from sklearn.datasets import load_digits  # start-up: a second

        return load_digits(return_X_y=True)
    values = np.loadtxt(kept, delimiter=",")
    return values[:, :-1], values[:, -1].astype(int)
