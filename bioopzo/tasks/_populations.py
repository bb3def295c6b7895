"""Groups of input neurons that fire at a rate while something is shown: trials of many events."""

from collections.abc import Sequence

import numpy as np
from brian2.units import ms
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import quantity, whole
from bioopzo.errors import InputError


class Populations:
    """Poisson rates (samples, steps, n_in) of input groups, in units of the task's `input_rate`.

    `where` is the task's name for messages, `groups` how many groups of `size` neurons there are.
    """

    def __init__(self, where: str, samples: int, steps: int, groups: int, size: int):
        self.size = whole(where, "group", size)
        self._rates = np.zeros((samples, steps, groups * self.size), np.float32)

    def fire(self, group: int | np.ndarray, begin: int | np.ndarray, length: int,
             rate: float = 1.0, who: Sequence[int] | np.ndarray | slice = slice(None)) -> None:
        """Let a `group` fire from the step `begin` on for `length` steps, at `rate`.

        Both may differ from sample to sample; `who` are the samples, by default all.
        """
        samples = np.arange(len(self._rates))[who]
        step = np.broadcast_to(begin, len(samples))[:, None] + np.arange(length)
        first = np.broadcast_to(group, len(samples))[:, None, None] * self.size
        neuron = first + np.arange(self.size)
        self._rates[samples[:, None, None], step[:, :, None], neuron] = rate

    @property
    def rates(self) -> np.ndarray:
        """The rates, complete: a `Task` takes them as they are, without a copy."""
        self._rates.flags.writeable = False
        return self._rates


def window(samples: int, steps: int, begin: np.ndarray, length: int) -> np.ndarray:
    """The masks (samples, steps) that are 1 from the step `begin` of each sample for `length`."""
    since = np.arange(steps) - np.broadcast_to(begin, samples)[:, None]
    return ((since >= 0) & (since < length)).astype(float)


def in_steps(where: str, name: str, time: Quantity, dt: Quantity, zero: bool = False) -> int:
    """A `time` in steps of `dt`; `InputError` where it is none, or less than a step."""
    quantity(where, name, time, ms, zero)
    count = round(float(time / dt))
    if count < (not zero):
        raise InputError(f"{where}: {name}={time} is less than a step of {dt}")
    return count


def drawn_delays(where: str, delay: Quantity | tuple[Quantity, Quantity], dt: Quantity,
                 samples: int, rng: np.random.Generator, values: int = 9
                 ) -> tuple[np.ndarray, int]:
    """(a delay in steps for every sample, the longest there can be).

    `delay` is a time, or the shortest and the longest, between which one of so many `values`,
    evenly spaced, is drawn: trials have as many different masks.
    """
    ends = tuple(delay) if isinstance(delay, (tuple, list)) else (delay, delay)
    if len(ends) != 2:
        raise InputError(f"{where}: delay is a time, or the shortest and the longest, e.g. "
                         f"(100*ms, 300*ms), not {delay!r}")
    low, high = (in_steps(where, "delay", end, dt, zero=True) for end in ends)
    if low > high:
        raise InputError(f"{where}: the shortest delay, {ends[0]}, is longer than the longest, "
                         f"{ends[1]}")
    choices = np.unique(np.linspace(low, high, values).round().astype(int))
    return rng.choice(choices, samples), high
