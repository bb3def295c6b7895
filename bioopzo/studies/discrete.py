"""Small tasks in the papers' discrete setting."""

import numpy as np
from brian2.units import ms

from bioopzo import tasks


def discrete(name, steps=6, warmup=3, **regime):
    """A small task in the papers' discrete setting: few steps, half of the potential left at each.

    For ``"digits"`` and ``"yin_yang"``; `mnist` has this regime by itself. The task's name is
    ``"discrete_NAME"``, so that rates tuned for the spiking engine are not taken for it. `regime`
    replaces values of the regime, such as ``input_gain=2.0``.
    """
    dt = 1 * ms
    task = tasks.get(name, duration=steps * dt, dt=dt, warmup=warmup * dt)
    return task.replace(name=f"discrete_{name}", hidden=(100, 100), parameters={
        "tau_m": dt / np.log(2), "tau_o": dt / np.log(2), "b": 0.5, "c": 0.05, "gain": 2.0,
        "T_z": 2 * dt, "T_w": dt, "alpha": 0.2 / dt, "mu": 10.0, "decay": 0.0 / dt, **regime})
