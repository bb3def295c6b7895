"""Tasks of the package neurogym, where it is installed."""

from importlib import import_module
from typing import Any

import numpy as np
from brian2.units import ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import quantity, whole
from bioopzo.errors import InputError
from bioopzo.tasks._own import from_arrays
from bioopzo.tasks.trials import Task


def neurogym(name: str = "PerceptualDecisionMaking-v0", trials: int = 600,
             env_dt: Quantity = 20 * ms, dt: Quantity = 1 * ms, seed: int = 0, coding: str =
             "current", options: Any = None, **more: Any) -> Task:
    """A task of neurogym (``pip install neurogym torch``): observations and correct actions.

    Parameters
    ----------
    name : str
        As `neurogym.make` knows it.
    trials : int
        How many are drawn, once, with `seed`: each with its own length, padded with zeros.
    env_dt, dt : time
        A step of the task, in which an observation stays, and one of the network.
    coding : ``"current"`` or ``"poisson"``
    options : mapping, optional
        For `neurogym.make`, e.g. ``{"timing": {"stimulus": 200}}`` (in ms).
    **more
        As for `from_arrays`: `validation`, `test`, `splits`, `parameters` ...

    Where actions are choices, action 0 is to wait, the class is the other action that is asked for,
    and the readout is read and taught while it is; where they are numbers, the target is what is
    asked for in every step. Raises `InputError` without neurogym, and for a task that asks for
    several choices in a trial, or for none.
    """
    try:
        package = import_module("neurogym")
    except ImportError as problem:
        raise InputError("tasks.neurogym needs the package neurogym, which imports torch: pip "
                         f"install neurogym torch ({problem})") from None
    count = whole("neurogym", "trials", trials, least=2)
    quantity("neurogym", "env_dt", env_dt, ms)
    repeats = round(float(env_dt / dt))
    if repeats < 1 or abs(float(env_dt / dt) - repeats) > 1e-6:
        raise InputError(f"neurogym: env_dt={env_dt} must be a multiple of dt={dt}")
    env = package.make(name, dt=float(env_dt / ms), **(options or {})).unwrapped
    env.seed(whole("neurogym", "seed", seed, least=0))
    shown, asked = [], []
    for _ in range(count):
        env.new_trial()
        shown.append(np.array(env.ob, np.float32))
        asked.append(np.array(env.gt))
    steps = max(map(len, shown))
    inputs = np.zeros((count, steps, shown[0].shape[-1]), np.float32)
    for k, observation in enumerate(shown):
        inputs[k, :len(observation)] = observation
    choices = getattr(env.action_space, "n", None)
    targets, mask = (_choices if choices else _numbers)(name, asked, steps)
    if choices is None:
        targets = np.repeat(targets, repeats, axis=1)
    return from_arrays(np.repeat(inputs, repeats, axis=1), targets,
                       np.repeat(mask, repeats, axis=1), dt=dt, name=name, coding=coding,
                       seed=seed, classes=None if choices is None else int(choices) - 1, **more)


def _choices(name, asked, steps):
    """(the class of every trial, when it is asked for): action 0 is to wait."""
    labels, mask = np.zeros(len(asked), int), np.zeros((len(asked), steps))
    for k, actions in enumerate(asked):
        wanted = np.unique(actions[actions > 0])
        if len(wanted) != 1:
            raise InputError(f"{name}: a trial asks for {len(wanted)} choices, and a class is one: "
                             "make arrays of it, tasks.from_arrays(inputs, targets, mask)")
        labels[k] = wanted[0] - 1
        mask[k, :len(actions)] = actions > 0
    return labels, mask


def _numbers(name, asked, steps):
    """(what readouts should show in every step, while the trial lasts)."""
    targets = np.zeros((len(asked), steps, np.prod(asked[0].shape[1:], dtype=int)))
    mask = np.zeros((len(asked), steps))
    for k, values in enumerate(asked):
        targets[k, :len(values)] = values.reshape(len(values), -1)
        mask[k, :len(values)] = 1
    return targets, mask
