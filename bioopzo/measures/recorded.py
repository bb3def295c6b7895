"""Any variables of any trials, step by step, as named data."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bioopzo.arguments import whole_number
from bioopzo.engines.rate.feed import Masks, presented
from bioopzo.engines.rate.settings import open_engine, settings
from bioopzo.engines.spiking import backends
from bioopzo.engines.spiking.chunk import Chunk
from bioopzo.engines.spiking.feed import checked_sample, rows, shift_last_spikes, tables
from bioopzo.engines.spiking.numbers import MEASURE, keys
from bioopzo.errors import InputError
from bioopzo.measures.trials import attached, before
from bioopzo.network.assembly import assemble
from bioopzo.network.clock import shape_of, time_course
from bioopzo.network.spread import constants
from bioopzo.network.watched import Watched, asks_for_dense, watched
from bioopzo.show.exports import named

#: What a recording may weigh.
MOST_BYTES = 2e9


def check_size(chosen: Sequence[Watched], trials: int, steps: int) -> None:
    """Refuse a recording of so many `trials` of `steps` that takes too much room."""
    size = 8 * trials * steps * sum(int(np.prod(one.shape)) for one in chosen)
    if size > MOST_BYTES:
        raise InputError(f"recording {', '.join(one.request for one in chosen)} in {trials} trials "
                         f"takes {size / 1e9:.1f} GB (at most {MOST_BYTES / 1e9:g}): record fewer "
                         'trials, or a part of a variable, as "forward_1.w[0, :]"')


def record_trials(run: Any, variables: str | Iterable[str], samples: Any = None,
                  plastic: bool = False, seed: int = 0, task: Any = None) -> Any:
    """Any `variables` of trials of a trained network, of a `run`; see `Run.record`.

    `samples` are trials of its task, or of another `task`; `plastic` says whether it learns from
    each, and `seed` draws the noise.
    """
    model, task = attached(run, task)
    if model.layout:
        raise InputError(f"{model.layout!r} is an architecture; only networks with all-to-all "
                         "layers can be recorded")
    chosen = watched(model, variables)
    samples = np.atleast_1d(task.splits["test"][:1] if samples is None else np.asarray(samples))
    samples = np.array([checked_sample(task, one) for one in samples])
    check_size(chosen, len(samples), task.steps)
    seed = whole_number("seed", seed, least=0)
    find = _on_batches if run.meta.get("engine") == "rate" else _one_by_one
    values = find(run, model, task, chosen, samples, bool(plastic), seed)
    return named(chosen, values, samples, 1e3 * float(task.dt), model, {
        "rule": run.meta.get("rule"), "task": task.name, "seed": seed, "plastic": int(plastic),
        "label": None if task.labels is None else task.labels[samples]})


def open_recorder(model: Any, shape: Any, chosen: Sequence[Watched], backend: str | None,
                  trials: int, precision: str = "double", lazy: bool = True, assembly: Any = None
                  ) -> tuple[Any, bool, dict[str, Any]]:
    """A back end of the spiking engine that records; whether it is dense; its constants.

    `assembly` is the text of the network, `lazy` or not, where the caller has it.
    """
    def text(lazy):
        return assemble(model, shape.duration, shape.varying, lazy, bool(shape.events),
                        step=shape.step, precision=precision, masks=shape.masks > 1)

    assembly = assembly or text(lazy)
    dense = not lazy or asks_for_dense(chosen, assembly)
    assembly = text(False) if dense and lazy else assembly
    name = backends.choose(backend if backend in backends.BACKENDS else None, trials)
    return backends.open_backend(name, model, shape, not dense, asked=False, precision=precision,
                                 record=chosen), dense, constants(assembly, model, shape)


def _one_by_one(run, model, task, chosen, samples, plastic, seed):
    shape = shape_of(task, rows(task))
    engine, _, values = open_recorder(model, shape, chosen, None, len(samples),
                              run.meta.get("precision", "double"))
    state: Mapping[str, Any] = {**engine.start, **{
        name: value for name, value in run.final.items() if name in engine.start}}
    data = {"course": time_course(model, task)}
    done = before(run.meta)
    found = []
    for first in range(0, len(samples), shape.rows):
        part = samples[first:first + shape.rows]
        trial_keys = keys(seed, MEASURE, first + np.arange(len(part)))
        before_each = done + plastic * (first + np.arange(len(part)))
        outcome = engine.run(Chunk(len(part), state, values, {**data, **tables(
            task, shape, part, plastic, before_each, trial_keys)}))
        found.append(outcome.recorded)
        state = outcome.state
        shift_last_spikes(state, len(part) * float(shape.duration))
    return [np.concatenate(parts) for parts in zip(*found)]


def _on_batches(run, model, task, chosen, samples, plastic, seed):
    theirs = run.meta["settings"]
    given = settings(**{**{name: value for name, value in theirs.items() if name not in (
        "optimizer", "rate", "schedule", "updates")}, "optimizer": "sgd", "devices": 1})
    engine = open_engine(model, task, given, seed)
    engine.put(run.final)
    engine.batches = before(run.meta) // given.batch
    inputs, targets = presented(task)
    return on_batch(engine, chosen, inputs[samples], targets[samples], Masks(task)[samples],
                    plastic)


def on_batch(engine: Any, chosen: Sequence[Watched], inputs: np.ndarray, targets: np.ndarray,
             masks: np.ndarray | None = None, plastic: bool = True,
             values: Mapping[str, Any] | None = None, rate: float | None = None
             ) -> list[np.ndarray]:
    """What is `chosen` of a batch in the rate `engine`, which stays as it is.

    Arrays (samples, steps, what is selected ...); what all samples share is the same for each.
    """
    names = tuple(dict.fromkeys(one.name for one in chosen))
    found = engine.record(names, inputs, targets, plastic, masks, values, rate)
    lost = [name for name in names if name not in found]
    if lost:
        raise InputError(f"{', '.join(lost)}: the rate engine keeps no such value from step to "
                         "step (a subexpression such as psi, the trial's clock, or an eligibility "
                         "that it computes when the trial is over): record what it is made of")
    count = inputs.shape[-2]
    result = []
    for one in chosen:
        seen = found[one.name]
        if (seen.ndim == 2 + (len(one.whole) == 2) and seen.ndim == 3) or seen.shape[1] != count:
            seen = np.broadcast_to(
                np.reshape(seen, (len(seen), 1, *one.whole)), (len(seen), count, *one.whole))
        seen = np.moveaxis(np.reshape(seen, (len(seen), count, -1)), 1, 0)
        result.append(seen[:, :, one.places].reshape(count, -1, *one.shape))
    return result
