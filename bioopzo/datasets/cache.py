"""Event data in a form that loads fast, kept in the user's cache."""

import hashlib
import json
import os
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bioopzo.datasets.events import Binning, EventInputs
from bioopzo.files import write_atomically

CACHE_FORMAT = 1


# ---- the cache ----------------------------------------------------------------------------------


def cache_directory() -> Path:
    """Where binned events are kept: BIOOPZO_CACHE, else the user's cache; safe to delete."""
    root = os.path.expanduser(os.environ.get("BIOOPZO_CACHE", "")) or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "bioopzo")
    return Path(root) / "events"


def cached(name: str, grid: Binning, source: dict, make: Callable[[], EventInputs]) -> EventInputs:
    """What `make` makes, kept on disk under a key of the transform and of where it comes from.

    The key holds every parameter of `grid` and `source` (files with sizes and times, or images and
    the simulator's constants). A file appears whole or not at all; one that cannot be read is made
    anew, one that cannot be written is a warning.
    """
    text = json.dumps([CACHE_FORMAT, name, asdict(grid), source])
    key = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
    path = cache_directory() / f"{name}-{key}.npz"
    found = _load(path, grid)
    if found is not None:
        return found
    inputs = make()
    arrays: dict[str, Any] = {"offsets": inputs.offsets, "cells": inputs.cells}
    if inputs.counts is not None:
        arrays["counts"] = inputs.counts
    try:
        write_atomically(path, lambda file: np.savez(file, **arrays))
    except OSError as problem:
        warnings.warn(f"{path} cannot be written ({problem.strerror or problem}): the events will "
                      "be read again next time", stacklevel=2)
    return inputs


def _load(path, grid):
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if ("counts" in arrays) != grid.counts:
            return None
        return EventInputs(grid.steps, grid.n_in, arrays["offsets"], arrays["cells"],
                           arrays.get("counts"), grid.grid)
    except FileNotFoundError:
        return None
    except MemoryError:
        raise
    except Exception:  # zip and numpy have many ways to say that a file is damaged
        return None
