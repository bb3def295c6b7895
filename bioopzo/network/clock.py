"""The trial's clock: what changes within a trial, and how long it is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2.units import ms, second
from brian2.units.fundamentalunits import Quantity

from bioopzo.errors import InputError
from bioopzo.network.asked import ModelLike
from bioopzo.network.holds import check_holds
from bioopzo.network.table import Network

#: The trial's clock, complete: what every population may read, and what it means.
MEANING = {
    "gate": "1 while the target is shown",
    "read": "weight of each step in the decision of a trial; sums to 1",
    "sigma": "sign of the perturbation: +1, -1 or 0",
    "window": "weight of each step in what is read of the perturbation's effect",
    "hold": "1 when z is drawn",
    "pair": "1 at the end of a pair of holds",
    "plastic": "1 in training trials, 0 in evaluation",
    "fresh": "1 in the first step of a trial",
    "t_of_trial": "time since the trial began",
}
#: Units of those that have one.
CLOCK_UNITS = {"t_of_trial": "second"}
CLOCK_NAMES = tuple(MEANING)
#: What is another in every step, for whoever reads it.
IN_TIME = {"t", *CLOCK_NAMES} - {"plastic"}
#: Columns of the time course that a task's trial has (`time_course`), in their order.
COLUMNS = ("gate", "read", "sigma", "window", "hold", "pair")
#: Those that are 0 in evaluation, whatever the time course says.
OF_LEARNING = ("sigma", "window", "hold", "pair")
CLOCK = "\n".join(f"{name} : {CLOCK_UNITS.get(name, 1)} (shared)" for name in CLOCK_NAMES)
#: What the clock does at the start of every step.
TICK = "\n".join([
    "step = t_in_timesteps % steps", "row = (t_in_timesteps // steps) % rows",
    "plastic = schedule(row*dt)", "fresh = int(step == 0)", "t_of_trial = step*dt",
    # What stands for t: time goes on in trials with plasticity only.
    "t_of_run = (trials_before(row*dt)*steps + step)*dt",
    "draws = step_key(trial_key(row*dt), step)",  # of this step's random numbers
    *(f"{name} = {'plastic*' * (name in OF_LEARNING)}course(step*dt, {k})"
      for k, name in enumerate(COLUMNS))])
#: The same where trials have masks of their own: the courses stand one below the other.
TICK_OF_ITS_OWN = TICK.replace("course(step*dt", "course((mask_number(row*dt)*steps + step)*dt")
#: Rows that all courses may have together: they are a table of every chunk (24 MB).
MOST_ROWS_OF_COURSES = 2**19


@dataclass(frozen=True)
class Shape:
    """What of a task a network is built for: everything else is data handed in later.

    `steps` a trial, `dt`, whether the target is `varying` within a trial, `rows`, the most trials
    that one chunk can hold, `events`, the most of one trial where inputs are given as events
    (else 0), and `masks`, room for so many different masks (1: all trials have the same).
    """

    steps: int
    dt: float
    varying: bool
    rows: int
    events: int = 0
    masks: int = 1

    @property
    def duration(self) -> Quantity:
        """Trial length."""
        return self.steps * self.dt * second

    @property
    def step(self) -> Quantity:
        """Length of a step."""
        return self.dt * second


def shape_of(task: Any, rows: int) -> Shape:
    """The `Shape` of a `task` (a `Task`) for chunks of at most `rows` trials.

    Room for events and for masks is a power of two, so that tasks share programs.
    """
    events = 0
    if hasattr(task.inputs, "most"):  # inputs given as lists of events
        events = 1 << max(1, task.inputs.most - 1).bit_length()
    return Shape(task.steps, float(task.dt), task.targets.ndim == 3, rows, events,
                 _room(len(masks_of(task)[0])))


def masks_of(task: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """The different masks of a `task` (masks, steps), and which of them each sample has.

    None: all samples have the same.
    """
    if np.ndim(task.mask) == 1:
        return np.asarray(task.mask, float)[None], None
    return task.masks, task.mask_numbers


def _room(masks):
    """Room for so many different masks: a power of two."""
    return 1 << (masks - 1).bit_length()


def time_course(model: ModelLike, task: Any) -> np.ndarray:
    """What changes within a trial, as an array (steps, len(COLUMNS)); see `MEANING`.

    Where trials have masks of their own, the courses of all different masks, in the order of
    `masks_of`, one below the other, with zeros below them for the room that `Shape` has.

    `model` says what its rule perturbs and for how long, `task` (a `Task`) when its target is
    shown. The weights in ``read`` sum to 1. ``window`` is the mean over +z minus the mean over -z,
    or the mean over one hold.

    Raises `InputError` when the trial is too short for one pair of holds, when holds are too
    short for their effect to be read (`network.holds`), and for more different masks than fit.
    """
    check_delays(model.network, float(task.dt), task.steps)
    masks, _ = masks_of(task)
    room = _room(len(masks))
    if room > 1 and room * task.steps > MOST_ROWS_OF_COURSES:
        raise InputError(f"task {task.name} has {len(masks)} different masks of {task.steps} steps;"
                         f" there is room for {MOST_ROWS_OF_COURSES // task.steps}: draw delays "
                         "from fewer values, or in larger steps")
    found = np.zeros((room * task.steps, len(COLUMNS)))
    for k, mask in enumerate(masks):
        found[k * task.steps:(k + 1) * task.steps] = _course_of(model, mask, float(task.dt))
    return found


def _course_of(model, mask, dt):
    """The time course of trials with a mask, checked."""
    perturbs = model.rule.perturbs
    if not perturbs:
        return np.column_stack(list(_course(mask, "", 0, 0, 1.0).values()))
    hold, window = (round(float(model.parameters[name]) / dt) for name in ("T_z", "T_w"))
    check_holds(model, dt, hold, lambda steps: _course(mask, perturbs, steps, window, dt))
    return np.column_stack(list(_course(mask, perturbs, hold, window, dt).values()))


def check_delays(network: Network, dt: float, steps: int) -> None:
    """Refuse delays that are no multiple of `dt` (seconds), or as long as a trial of `steps`."""
    for projection in network.projections:
        count = projection.delay / dt
        if abs(count - round(count)) > 1e-6:
            near = max(1, round(count)) * dt
            raise InputError(f"{projection.name}: a delay of {projection.delay*1e3:g} ms is no "
                             f"multiple of the time step, {dt*1e3:g} ms; the nearest is "
                             f"{near*1e3:g} ms")
        if count >= steps:
            raise InputError(f"{projection.name}: with a delay of {projection.delay*1e3:g} ms no "
                             f"spike arrives within a trial of {steps*dt*1e3:g} ms")


def check_protocol(model: ModelLike) -> None:
    """Refuse holds of a `model` that are too short whatever the task: `InputError`, as `holds` has.

    What a task adds, steps of finite length and the trial's own, makes it no better.
    """
    if model.rule.perturbs != "pair":
        return
    fine = 50  # steps of a hold
    hold, window = (float(model.parameters[name]) for name in ("T_z", "T_w"))
    dt = hold / fine
    problems = []
    for pairs in (1, 10):
        def course(steps, pairs=pairs):
            return _course(np.ones(2 * steps * pairs), "pair", steps, max(1, round(window / dt)),
                           dt)
        try:
            check_holds(model, dt, fine, course)
        except InputError as problem:
            problems.append(problem)
    if len(problems) == 2:
        raise problems[0]


def _course(mask, perturbs, hold, window, dt):
    """The time course by name: of a target shown as `mask` says, with holds of `hold` steps."""
    course = dict(zip(COLUMNS, np.zeros((len(COLUMNS), len(mask)))))
    course["gate"] += mask
    course["read"] += mask / mask.sum()
    start = 0 if perturbs == "trial" else int(np.flatnonzero(mask)[0])
    if perturbs in ("trial", "hold"):
        _one_hold(course, start, window)
    elif perturbs:
        _pairs_of_holds(course, start, hold, window, dt)
    return course


def ticks(course: np.ndarray, plastic: float, first: int, count: int) -> dict[str, np.ndarray]:
    """What the clock says in `count` steps from `first` on, as `TICK` does: name -> array.

    `course` is a `time_course`, `plastic` 1 or 0. With an axis of samples, (steps, samples,
    columns), so has what it says: (steps, samples, 1).
    """
    own = course.ndim > 2
    said = {name: course[first:first + count, ..., slice(k, k + 1) if own else k]
            * (plastic if name in OF_LEARNING else 1.0) for k, name in enumerate(COLUMNS)}
    said["plastic"] = np.full(count, plastic)
    said["fresh"] = (np.arange(first, first + count) == 0).astype(float)
    return said


def longest_hold(start: int, steps: int) -> int:
    """Steps of the longest hold of which two fit into `steps`, the target shown from `start`."""
    return (steps - start // 2) // 2


def fitting_holds(task: Any, hold: Quantity, window: Quantity) -> dict[str, Quantity]:
    """``T_z`` and ``T_w`` for a `task` in whose trials two holds of `hold` do not fit; else none.

    The longest that does, and the part of it in which its effect is read, `window`, shorter by as
    much. In ms; none where no pair of steps fits.
    """
    dt, (masks, _) = float(task.dt), masks_of(task)
    longest = min(longest_hold(int(np.flatnonzero(mask)[0]), len(mask)) for mask in masks)
    if not 0 < longest < round(float(hold) / dt):
        return {}
    read = min(longest, max(1, round(longest * float(window) / float(hold))))
    return {name: float(f"{steps * dt * 1e3:.12g}") * ms
            for name, steps in (("T_z", longest), ("T_w", read))}


def _one_hold(course, start, window):
    """One z from step `start` on, whose effect is read in the last `window` steps."""
    course["sigma"][start:] = 1
    course["hold"][start] = course["pair"][-1] = 1
    late = course["window"][start:]
    late[-min(window, len(late)):] = 1 / min(window, len(late))


def _pairs_of_holds(course, start, hold, window, dt):
    """As many pairs of holds, +z then -z, as fit into the trial."""
    if not 0 < window <= hold:
        raise InputError(f"T_w ({window*dt*1e3:g} ms) must lie within T_z ({hold*dt*1e3:g} ms)")
    steps = len(course["sigma"])
    # Holds begin with the gate, or where a pair needs more room in the warm-up's second half.
    earliest, longest = start // 2, longest_hold(start, steps)
    if steps - start < 2 * hold <= steps - earliest:
        start = steps - 2 * hold
    pairs = (steps - start) // (2 * hold)
    if pairs < 1:
        raise InputError(
            f"T_z={hold*dt*1e3:g} ms: two holds do not fit after the first {earliest*dt*1e3:g} ms "
            f"(half the warm-up) of a trial of {steps*dt*1e3:g} ms; allowed: T_z <= "
            f"{longest*dt*1e3:g} ms")
    for k in range(pairs):
        first = start + 2 * k * hold
        course["hold"][first] = course["pair"][first + 2 * hold - 1] = 1
        for sign, begin in ((1, first), (-1, first + hold)):
            course["sigma"][begin:begin + hold] = sign
            course["window"][begin + hold - window:begin + hold] = sign / window
