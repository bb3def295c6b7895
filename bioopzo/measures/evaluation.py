"""Trials shown to a trained network: nothing is learned, and the run stays as it is."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bioopzo.arguments import whole_number
from bioopzo.engines.rate.feed import Masks, presented
from bioopzo.engines.rate.settings import open_engine, settings
from bioopzo.engines.spiking import backends
from bioopzo.engines.spiking.chunk import Chunk, Outcome
from bioopzo.engines.spiking.feed import parameter_values, rows, shift_last_spikes, tables
from bioopzo.engines.spiking.numbers import EVALUATION, keys
from bioopzo.errors import InputError, unknown
from bioopzo.measures.trials import Outcomes, attached, before
from bioopzo.network.clock import shape_of, time_course
from bioopzo.tasks import Task

#: Trials shown together on mini-batches, and what their inputs may weigh.
BATCH, BATCH_BYTES = 1000, 3e8


def evaluate(run: Any, task: Task | None = None, split: str = "test", trials: int | None = None,
             seed: int | None = None) -> Outcomes:
    """What a trained network makes of the trials of a `split`: the `Outcomes`; see `Run.evaluate`.

    `run` brings model, `task` (where none is given) and the `seed`; so many `trials` are shown, the
    first ones, by default all.
    """
    model, task = attached(run, task)
    if split not in list(task.splits):  # which may be given what cannot be hashed
        raise unknown(f"split of {task.name}", split, task.splits)
    samples = task.splits[split]
    if trials is not None:
        samples = samples[:whole_number("trials", trials)]
    if not len(samples):
        raise InputError(f"task {task.name} has no trials in its {split} split")
    return shown(run, model, task, samples, seed)


def predict(run: Any, inputs: Any, split: str = "test", readout: bool = False) -> np.ndarray:
    """What a trained network, of a `run`, answers to `inputs` (trials as its task has them).

    Or to the `split` of a task: the class chosen, or with `readout` what the readouts say. See
    `Run.predict`.
    """
    if isinstance(inputs, Task):
        task, found = inputs, evaluate(run, inputs, split)
    else:
        model, task = attached(run)
        new = _unlabelled(task, inputs)
        found = shown(run, model.on(new), new, new.splits["train"], None)
    assert found.decision is not None and found.choice is not None  # of what was shown just now
    learned = run.task or task  # whose classes the network knows
    if readout or learned.labels is None:
        return found.decision
    if learned.class_names is None:
        return found.choice
    one_kind = len(set(map(type, learned.class_names))) == 1
    return np.array(learned.class_names, None if one_kind else object)[found.choice]


def _unlabelled(task, inputs):
    """The trials of a task with other inputs, and no targets."""
    inputs = inputs if hasattr(inputs, "steps") else np.asarray(inputs)
    if len(inputs.shape) not in (2, 3) or inputs.shape[-1] != task.n_in or not len(inputs):
        raise InputError(f"inputs of {task.name} have the shape (samples, {task.n_in}), or "
                         f"(samples, steps, {task.n_in}) where they change within a trial, not "
                         f"{inputs.shape}")
    if len(task.masks) > 1:
        raise InputError(f"trials of {task.name} are read at times of their own, and inputs alone "
                         "do not say when: give a Task, run.predict(task)")
    steps = inputs.shape[1] if len(inputs.shape) == 3 else task.steps
    if steps != task.steps:
        raise InputError(f"inputs have {steps} steps, and a trial of {task.name} {task.steps}")
    none = np.array([], int)
    count = len(inputs)
    return task.replace(inputs=inputs, targets=np.zeros((count, task.n_out)), labels=None,
                        mask=task.masks[0], order="given",
                        splits={"train": np.arange(count), "validation": none, "test": none})


def shown(run: Any, model: Any, task: Task, samples: np.ndarray, seed: int | None) -> Outcomes:
    """The `Outcomes` of `samples` of a task, shown to the network of a `run` in its own engine.

    `model` is the run's, written for the task; `seed` draws the noise, by default that of the run:
    then trials that its last evaluation has shown come out as they did there.
    """
    seed = run.meta["seed"] if seed is None else whole_number("seed", seed, least=0)
    on_batches = run.meta.get("engine") == "rate"
    decision, loss, rates = (_on_batches if on_batches else _one_by_one)(
        run, model, task, np.asarray(samples), seed)
    bad = ~np.isfinite(loss)
    if bad.any():
        raise InputError(f"the loss of sample {samples[int(np.argmax(bad))]} is not finite: the "
                         "weights, or the inputs, are too large")
    labels = None if task.labels is None else task.labels[samples]
    return Outcomes(np.asarray(samples), decision, loss, labels, decision.argmax(axis=1),
                    np.full(len(samples), run.meta.get("trials_done", 0)), rates,
                    task.feedback == "reward")


def _one_by_one(run, model, task, samples, seed):
    """Decisions, losses and rates, one trial after the other in the spiking engine."""
    shape, course = shape_of(task, rows(task)), time_course(model, task)
    name, precision = run.meta.get("backend"), run.meta.get("precision", "double")
    if name not in backends.BACKENDS:
        name = backends.choose(None, len(samples))
    engine = backends.open_backend(name, model, shape, asked=False, precision=precision)
    state = {**engine.start, **{name: value for name, value in run.final.items()
                                if name in engine.start}}
    first = dict(state)
    done = before(run.meta)
    trial_keys = keys(seed, EVALUATION, done, np.arange(len(samples)))
    found = list(chunks(engine, task, shape, course, samples, done, trial_keys, state,
                        parameter_values(model, shape)))
    duration = len(samples) * float(task.duration)
    rates = {key.split(".")[0]: (value - first[key]) / duration
             for key, value in found[-1].state.items() if key.endswith(".count")}
    return (np.concatenate([one.decision for one in found]),
            np.concatenate([one.cost for one in found]).sum(axis=1), rates)


def chunks(engine: Any, task: Task, shape: Any, course: np.ndarray, samples: np.ndarray,
           done: int, trial_keys: np.ndarray, state: Mapping[str, np.ndarray],
           values: Mapping[str, Any]) -> Iterator[Outcome]:
    """Trials shown with plasticity off by a back end of the spiking engine, chunk by chunk.

    `done` training trials went before, `trial_keys` are those of their random numbers; each chunk
    begins with the `state` of the one before. `values` are the model's parameters.
    """
    for first in range(0, len(samples), shape.rows):
        part = slice(first, first + shape.rows)
        outcome = engine.run(Chunk(len(samples[part]), state, values, {
            "course": course, **tables(task, shape, samples[part], False, done,
                                       trial_keys[part])}))
        shift_last_spikes(outcome.state, len(samples[part]) * float(shape.duration))
        yield outcome
        state = outcome.state


def _on_batches(run, model, task, samples, seed):
    """Decisions, losses and rates on mini-batches of the rate engine."""
    theirs = run.meta["settings"]
    chosen = settings(**{**{name: value for name, value in theirs.items() if name not in (
        "optimizer", "rate", "schedule", "updates")}, "optimizer": "sgd"})
    engine = open_engine(model, task, chosen, seed)
    engine.put(run.final)
    engine.batches = sum(run.meta.get(name, 0) // chosen.batch
                         for name in ("trials_before", "trials_done"))
    inputs, targets = presented(task)
    return on_batches(engine, task, inputs, targets, Masks(task), samples,
                      batch_of(task, len(samples), chosen.devices))


def batch_of(task: Task, most: int, devices: int = 1) -> int:
    """How many trials are shown together where `most` are shown at once: parts of one size."""
    room = int(np.clip(BATCH_BYTES // (4 * task.n_in * (task.steps if task.in_time else 1)), 1,
                       BATCH))
    size = -(-most // -(-most // room))
    return size + -size % devices


def on_batches(engine: Any, task: Task, inputs: Any, targets: Any, masks: Masks,
               samples: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Trials shown with plasticity off by the rate `engine`, `size` at a time.

    `inputs`, `targets` and `masks` are those of the `task`, by sample. Returns decisions (trials,
    readouts), losses (trials,), and rates, population -> (neurons,) in Hz.
    """
    decisions, losses = [], []
    spikes: dict[str, np.ndarray] = {}
    for number, first in enumerate(range(0, len(samples), size)):
        part = np.resize(samples[first:first + size], size)
        keep = min(size, len(samples) - first)
        decision, cost, fired = engine.evaluate(inputs[part], targets[part], number,
                                                masks=masks[part])
        decisions.append(decision[:keep])
        losses.append(cost[:keep].sum(axis=1))
        for name, values in fired.items():
            spikes[name] = spikes.get(name, 0.0) + values[:keep].sum(axis=0, dtype=float)
    duration = len(samples) * float(task.duration)
    return np.concatenate(decisions), np.concatenate(losses), {
        name: total / duration for name, total in spikes.items()}
