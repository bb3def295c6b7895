"""How the rate engine trains, as a user says it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bioopzo.arguments import whole_number
from bioopzo.datasets.augmentation import checked_augment
from bioopzo.engines.rate import optimizers
from bioopzo.engines.rate.devices import KINDS, Placement
from bioopzo.engines.rate.engine import Engine
from bioopzo.engines.rate.optimizers import Optimizer
from bioopzo.engines.tools import ONE_AT_A_TIME
from bioopzo.errors import InputError, unknown
from bioopzo.network.clock import shape_of, time_course


@dataclass(frozen=True)
class Settings:
    """How the rate engine trains (the keywords of `train` with ``engine="rate"``).

    Parameters
    ----------
    batch : int, optional
        Trials whose weight changes are averaged; the last incomplete batch of an epoch is left.
        Default a 64th of the training trials, 8 to 128.
    activity : ``"rates"`` (default), ``"spikes"`` or ``"deterministic"``
    optimizer : str or Optimizer
        ``"adamw"`` (default), ``"momentum"``, ``"sgd"`` (dw/dt as it is written), or a text of
        your own.
    rate : float, optional
        The optimiser's learning rate; default its own. Plain descent has none: there eta and eta_o
        say how much.
    schedule : ``"cosine"`` (default), ``"linear"`` or ``"constant"``
        How the rate falls, batch by batch, to 0 at the end; eta and eta_o then stay what they
        are. For plain descent, which has no schedule, they fall as eta_final says.
    precision : ``"single"`` (default) or ``"double"``
    updates : ``"trial"`` (default) or ``"step"``
    compiled : bool
        Default True. False runs operation by operation, which is slow, to look inside.
    device : ``"cpu"`` or ``"gpu"``, optional
        Default: what JAX chooses, a GPU where there is one.
    devices : int
        Over so many devices the samples of a batch are shared out (default 1).
    together : bool, optional
        Whether several runs of the same text (`train` with several seeds, `compare`, `tune`) are
        run as one program. The results are those of single runs, to rounding. Default: where it
        is faster, on a GPU and with batches of one trial.
    augment : names, or mapping name -> pixels, optional
        What is done at random to the images of each batch that is learned from, never to those that
        are evaluated: ``"crop"`` (moved by up to 4 pixels), ``"flip"``, ``"cutout"`` (a square of 8
        hidden); ``{"crop": 2, "flip": 1}``. See `datasets.augmentation.augmented`.
    checkpoint : path, optional
        Written after every evaluation; where it exists, training goes on from it, to the same bits.
    """

    batch: int | None = None
    activity: str = "rates"
    optimizer: object = "adamw"
    rate: float | None = None
    schedule: str | None = None
    precision: str = "single"
    updates: str = "trial"
    compiled: bool = True
    device: str | None = None
    devices: int = 1
    together: bool | None = None
    augment: Any = None
    checkpoint: Any = None

    def chosen_optimizer(self):
        """The `Optimizer` with the rate asked for."""
        chosen = (self.optimizer if isinstance(self.optimizer, Optimizer)
                  else optimizers.get(self.optimizer))
        self._check_schedule(chosen)
        if self.rate is None:
            return chosen
        if isinstance(self.rate, bool) or not isinstance(self.rate, (int, float)) \
                or not 0 < self.rate < float("inf"):
            raise InputError(f"rate is a number above 0, not {self.rate!r}")
        return replace(chosen, parameters={**chosen.parameters, "rate": float(self.rate)})

    def _check_schedule(self, chosen):
        """Refuse a rate, or a schedule of it, for an optimiser that has none."""
        for name in () if chosen.has_rate else ("rate", "schedule"):
            if getattr(self, name) is not None:
                raise InputError(
                    f"optimizer {chosen.name} has no {name} of its own: how fast weights follow is "
                    "said by eta and eta_o, how that falls by eta_final, as in "
                    "model.edit(eta=10*Hz, eta_final=0.1)")

    @property
    def falls(self) -> str | None:
        """The schedule in force; None for an optimiser without a rate of its own."""
        return (self.schedule or "cosine") if self.chosen_optimizer().has_rate else None


def settings(**given):
    """The `Settings` with these values; `InputError` for a name that is unknown."""
    names = Settings.__dataclass_fields__
    for name in given:
        if name not in names:
            raise unknown("setting of the rate engine", name, names)
    chosen = Settings(**given)
    if chosen.batch is not None and (
            isinstance(chosen.batch, bool) or not isinstance(chosen.batch, int)
            or chosen.batch < 1):
        raise InputError(f"batch is a whole number of at least 1, not {chosen.batch!r}")
    if chosen.device is not None and chosen.device not in list(KINDS):
        raise unknown("device", chosen.device, KINDS)
    whole_number("devices", chosen.devices)
    if not isinstance(chosen.together, (bool, type(None))):
        raise InputError(f"together is True, False or None, not {chosen.together!r}")
    chosen = replace(chosen, augment=checked_augment(chosen.augment) or None)
    if not isinstance(chosen.compiled, bool):
        raise InputError(f"compiled is True or False, not {chosen.compiled!r}")
    if chosen.schedule not in (None, *optimizers.SCHEDULES):
        raise unknown("schedule", chosen.schedule, optimizers.SCHEDULES)
    chosen.chosen_optimizer()  # says what is wrong with optimizer, rate and schedule
    return chosen


def learning_rate(chosen, schedule, progress):
    """The rate of an optimiser, `chosen`, when a share `progress` of the run is done.

    None for one without a rate. `schedule` is ``"cosine"``, ``"linear"`` or ``"constant"``.
    """
    if not chosen.has_rate:
        return None
    share = {"cosine": (1 + np.cos(np.pi * progress)) / 2, "linear": 1 - progress,
             "constant": 1.0}[schedule]
    return float(chosen.parameters["rate"] * share)


def open_engine(model, task, chosen, seed=0, look=()):
    """The `Engine` of a model that has been given its task; `look` as there."""
    with ONE_AT_A_TIME:
        return Engine(model, shape_of(task, 2), time_course(model, task), chosen.activity,
                      chosen.precision, chosen.updates, chosen.chosen_optimizer(), chosen.compiled,
                      seed, Placement(chosen.device, chosen.devices), look)
