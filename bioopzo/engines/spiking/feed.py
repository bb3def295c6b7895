"""Trials as the tables that a chunk of the spiking engine reads."""

import numpy as np

from bioopzo.engines.spiking.build import assemble
from bioopzo.errors import InputError
from bioopzo.network.clock import masks_of, shape_of
from bioopzo.network.spread import constants

#: What a chunk's tables may weigh, and how many trials and steps it may hold: in single precision,
#: Brian2 finds the right row of a table among 2^20 and no more.
TABLE_BYTES, MOST_ROWS, MOST_STEPS = 24e6, 512, 2**20


def rows(task):
    """Trials that one chunk can hold for a task, so that its tables stay small.

    Raises `InputError` for inputs that are counts.
    """
    refuse_counts(task)
    events = shape_of(task, 1).events
    stimulus = (events + 2 * task.n_in if events else
                task.n_in * (task.steps if task.in_time else 1))
    bytes_a_trial = 8 * (3 + stimulus + task.n_out * (task.steps if task.targets.ndim == 3 else 1))
    fitting = min(TABLE_BYTES // bytes_a_trial, MOST_STEPS // task.steps)
    return int(min(MOST_ROWS, max(2, fitting)))


def refuse_counts(task):
    """`InputError` for inputs that are counts: a spike is a spike in the spiking engine."""
    if getattr(task.inputs, "counts", None) is not None:
        raise InputError(f"task {task.name} counts events, and an input neuron of the spiking "
                         "engine spikes once a step at most: use counts=False")


def checked_sample(task, sample):
    """`sample` as an int; `InputError` where it is not the index of a trial of the `task`."""
    if isinstance(sample, bool) or not isinstance(sample, (int, np.integer)) \
            or not 0 <= sample < task.samples:
        raise InputError(f"sample is the index of a trial of {task.name}, 0 to {task.samples - 1}, "
                         f"not {sample!r}")
    return int(sample)


def tables(task, shape, samples, plastic, before=0, keys=0):
    """The tables of a chunk that presents `samples` in order, padded to the chunk's rows.

    `before` is the number of training trials before each, `keys` those of its random numbers (see
    `numbers.keys`).
    """
    count = len(samples)
    told = {name: np.zeros(shape.rows) for name in ("schedule", "trials_before", "trial_key")}
    for name, values in zip(told, (plastic, before, keys)):
        told[name][:count] = values
    _, masks = masks_of(task)
    if shape.masks > 1:
        told["mask_number"] = np.zeros(shape.rows)
        told["mask_number"][:count] = masks[samples]
    per_trial = shape.steps if shape.varying else 1
    target = np.zeros((shape.rows * per_trial, task.n_out))
    target[:count * per_trial] = task.targets[samples].reshape(-1, task.n_out)
    if shape.events:
        return {**told, "target": target, **event_lists(task.inputs, shape, samples)}
    per_trial = shape.steps if task.in_time else 1
    stimulus = np.zeros((shape.rows * per_trial, task.n_in))
    stimulus[:count * per_trial] = task.inputs[samples].reshape(-1, task.n_in)
    return {**told, "stimulus": stimulus, "target": target}


def event_lists(inputs, shape, samples):
    """Where each input neuron's list of a trial begins, and the lists: steps, then -1, in a row.

    `inputs` are `EventInputs`. Returns the tables ``first_event`` (rows, n_in) and ``event_step``.
    """
    room = shape.events + inputs.n_in
    trial, places = inputs.events(np.asarray(samples))
    step, neuron = np.divmod(inputs.cells[places].astype(np.int64), inputs.n_in)
    owner = trial * inputs.n_in + neuron
    order = np.argsort(owner, kind="stable")  # within a trial, events come in the order of steps
    lengths = np.bincount(owner, minlength=shape.rows * inputs.n_in).reshape(shape.rows, -1)
    first = np.cumsum(lengths + 1, axis=1) - lengths - 1 + room * np.arange(shape.rows)[:, None]
    lists = np.full(shape.rows * room, -1.0)
    begins = np.cumsum(lengths) - lengths.ravel()
    within = np.arange(len(order)) - np.repeat(begins, lengths.ravel())
    lists[np.repeat(first.ravel(), lengths.ravel()) + within] = step[order]
    return {"first_event": first.astype(float), "event_step": lists}


def parameter_values(model, shape, lazy=True, precision="double"):
    """Every shared constant of every object: ``{"hidden_1.tau_m": 0.01, ...}``.

    Which objects have which depends on whether plasticity may be `lazy`, and in which `precision`.
    """
    assembly = assemble(model, shape.duration, shape.varying, lazy, bool(shape.events),
                        step=shape.step, precision=precision, masks=shape.masks > 1)
    return constants(assembly, model, shape)


def shift_last_spikes(state, elapsed):
    """Move the times of last spikes back by `elapsed` (s): each chunk starts its clock at 0."""
    for name in state:
        if name.endswith(".lastspike"):
            state[name] = state[name] - elapsed
