"""Training in the spiking engine: the order of trials, evaluation and guards, chunk by chunk."""

import time
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from tqdm.auto import tqdm

from bioopzo.arguments import whole_number
from bioopzo.checks.check import check
from bioopzo.engines.spiking import backends
from bioopzo.engines.spiking.chunk import Chunk
from bioopzo.engines.spiking.feed import parameter_values, rows, tables
from bioopzo.errors import InputError, InterruptedRun, NonFiniteError
from bioopzo.network.clock import shape_of, time_course
from bioopzo.run import Run
from bioopzo.training.live import listener
from bioopzo.training.start import initial_weights, provenance, scheduled
from bioopzo.training.tuned import tuned_parameters

#: Learning rates follow their schedule in at least this many steps.
SCHEDULE_STEPS = 25


@dataclass(frozen=True)
class Stretch:
    """Trials in a row with one purpose: sample indices, plastic or not, progress (0 to 1)."""

    samples: np.ndarray
    plastic: bool
    progress: float
    last: bool = False


def train(model, task, trials=None, epochs=None, evaluations=None, seed=0, split="test", save=None,
          progress=True, live=False, backend=None, lazy=True):
    """Train a model on a task in the spiking engine; see `bioopzo.train`."""
    begin = time.perf_counter()
    if trials is not None and epochs is not None:
        raise InputError("give trials or epochs, not both")
    if epochs is not None:
        trials = whole_number("epochs", epochs) * (len(task.splits["train"]) + (
            len(task.splits["validation"]) if split == "test" else 0))
    trials = whole_number("trials", 4000 if trials is None else trials)
    evaluations = min(trials, whole_number("evaluations",
                                           10 if evaluations is None else evaluations))
    if split not in ("test", "validation"):
        raise InputError(f"split is 'test' or 'validation', not {split!r}")
    if len(task.splits[split]) == 0:
        raise InputError(f"task {task.name} has no trials in its {split} split")
    if model.layout:
        raise InputError(f"{model.layout!r} is an architecture; the spiking engine connects all to "
                         "all: use engine='rate', or a list of sizes")
    model = model.for_task(task, tuned_parameters(task.name, model))
    check(model, complete=False)
    tell = listener(live, model, task, trials)
    chosen = backends.choose(backend, trials + (evaluations + 1) * len(task.splits[split]))
    shape = shape_of(task, rows(task))
    course = time_course(model, task)
    seeds = np.random.SeedSequence(seed).spawn(3)
    plan = list(_plan(task, trials, evaluations, split, shape.rows,
                      np.random.default_rng(seeds[0])))
    run = Run(model=model, task=task)
    run.meta.update(provenance(model, task, trials, seed, chosen, split))
    engine = backends.open_backend(chosen, model, shape, lazy, tqdm.write if progress else None)
    run.meta["build_s"] = round(engine.build_s, 3)
    values = parameter_values(model, shape)
    state = {**engine.start, **initial_weights(model, np.random.default_rng(seeds[1]))}
    noise = np.random.default_rng(seeds[2])
    record = _Record(run, task, split, state, tell)
    bar = tqdm(total=sum(len(s.samples) for s in plan), unit="trial", disable=not progress,
               delay=2, desc=f"{model.rule_name} on {task.name} ({chosen})", leave=False)
    try:
        with bar:
            for stretch in plan:
                chunk = Chunk(
                    len(stretch.samples), state, scheduled(values, model, stretch.progress),
                    {"course": course, **tables(task, shape, stretch.samples, stretch.plastic)},
                    int(noise.integers(1, 2**31 - 1)))
                outcome = engine.run(chunk)
                _check_finite(engine, chunk, outcome, record, stretch)
                state = outcome.state
                _shift_last_spike(state, chunk.trials * float(shape.duration))
                record.add(stretch, outcome)
                bar.update(len(stretch.samples))
    except (NonFiniteError, KeyboardInterrupt) as problem:
        record.finish(state, complete=False)
        run.meta["wall_s"] = round(time.perf_counter() - begin, 3)
        run.meta["stopped"] = str(problem) or "interrupted"
        if save:
            run.save(save)
        if isinstance(problem, NonFiniteError):
            problem.run = run
            raise
        stop = InterruptedRun(f"interrupted after {run.meta['trials_done']} of {trials} trials")
        stop.run = run
        raise stop from None
    record.finish(state, complete=True)
    run.meta["wall_s"] = round(time.perf_counter() - begin, 3)
    if save:
        run.save(save)
    return run


def _plan(task, trials, evaluations, split, most, rng):
    """The whole run as stretches; the last one ends with an idle trial that settles the rest."""
    if split == "test":
        task = task.replace(splits={**task.splits, "validation": np.array([], dtype=int), "train":
                                    np.sort(np.concatenate([task.splits["train"],
                                                            task.splits["validation"]]))})
    order = task.presentation("train", trials, rng)
    held_out = np.asarray(task.splits[split])
    longest = max(1, min(most, -(-trials // SCHEDULE_STEPS)))
    stops = np.unique(np.round(np.linspace(0, trials, evaluations + 1)).astype(int))
    yield from _evaluation(held_out, 0.0, most, len(stops) == 1)
    for first, stop in pairwise(stops):
        for begin in range(first, stop, longest):
            end = min(begin + longest, stop)
            yield Stretch(order[begin:end], True, (begin + end) / 2 / trials)
        yield from _evaluation(held_out, stop / trials, most, stop == stops[-1])


def _evaluation(samples, progress, most, last):
    parts = [samples[k:k + most - 1] for k in range(0, len(samples), most - 1)]
    for k, part in enumerate(parts):
        end = last and k == len(parts) - 1
        yield Stretch(np.append(part, part[-1]) if end else part, False, progress, end)


def _shift_last_spike(state, elapsed):
    """Each chunk starts its clock at 0: the times of last spikes move back."""
    for name in state:
        if name.endswith(".lastspike"):
            state[name] = state[name] - elapsed


class _Record:
    """Collects what chunks read out and turns it into a `Run`."""

    def __init__(self, run, task, split, state, tell=None):
        self.run, self.task, self.split = run, task, split
        self.state, self.tell, self.told = state, tell, 0
        self.decisions, self.costs, self.stretches, self.snapshots = [], [], [], []
        self.counts = []

    def add(self, stretch, outcome):
        if stretch.plastic or not self.stretches or self.stretches[-1][0].plastic:
            self.before = self.state
        self.stretches.append((stretch, self.before, outcome.state))
        self.decisions.append(outcome.decision)
        self.costs.append(outcome.cost)
        self.state = outcome.state
        if self.tell:
            points = list(self._evaluations())[self.told:]
            self.told += len(points)
            for trained, samples, decision, cost, _, _ in points:
                self.tell(trained, *self._score(samples, decision, cost))

    def _score(self, samples, decision, cost):
        """(accuracy or None without classes, loss) of one evaluation."""
        labels, loss = self.task.labels, float(cost.sum(axis=1).mean())
        return (None if labels is None else
                float(np.mean(decision.argmax(axis=1) == labels[samples]))), loss

    @property
    def trials_done(self):
        return sum(len(s.samples) for s, _, _ in self.stretches if s.plastic)

    def finish(self, state, complete):
        run, task = self.run, self.task
        run.meta["trials_done"] = self.trials_done
        run.meta["complete"] = complete
        for name, value in state.items():
            run.arrays[f"final/{name}"] = value
        duration = float(task.duration)
        curve = {"trials": [], "accuracy": [], "loss": []}
        rates, snapshots = {}, {}
        for trained, samples, decision, cost, before, after in self._evaluations():
            accuracy, loss = self._score(samples, decision, cost)
            curve["trials"].append(trained)
            curve["loss"].append(loss)
            curve["accuracy"].extend([] if accuracy is None else [accuracy])
            for name in after:
                owner, variable = name.split(".")
                if variable == "count":
                    spikes = float(np.mean(after[name] - before[name]))
                    rates.setdefault(owner, []).append(spikes / (len(samples) * duration))
                elif variable in ("w", "M", "B"):
                    snapshots.setdefault(name, []).append(after[name])
        for name, values in curve.items():
            run.arrays[f"curve/{name}"] = np.array(values)
        run.units.update({"curve/trials": "1", "curve/accuracy": "1", "curve/loss": "1"})
        for name, values in rates.items():
            run.arrays[f"rates/{name}"] = np.array(values)
            run.units[f"rates/{name}"] = "Hz"
        for name, values in snapshots.items():
            run.arrays[f"snapshots/{name}"] = np.array(values)
            run.units[f"snapshots/{name}"] = "1"
        run.meta["untrained_rates_hz"] = {k: round(v[0], 2) for k, v in rates.items()}
        run.meta["rates_hz"] = {k: round(v[-1], 2) for k, v in rates.items()}
        if complete:
            run.meta["test_loss"] = curve["loss"][-1]
            run.meta["test_accuracy"] = curve["accuracy"][-1] if curve["accuracy"] else None

    def _evaluations(self):
        """(trained, samples, decision, cost, state before, after) of every whole evaluation.

        A reading belongs to the trial before it, so everything moves up by one row.
        """
        if not self.stretches:
            return
        decision = np.concatenate(self.decisions)[1:]
        cost = np.concatenate(self.costs)[1:]
        position, trained, size = 0, 0, len(self.task.splits[self.split])
        samples, first, start = [], 0, None
        for stretch, before, after in self.stretches:
            count = len(stretch.samples)
            if stretch.plastic:
                trained += count
            else:
                if not samples:
                    first, start = position, before
                samples.extend(stretch.samples[:count - stretch.last])
                if len(samples) == size:
                    stop = first + size
                    if stop <= len(decision):
                        yield (trained, np.array(samples), decision[first:stop], cost[first:stop],
                               start, after)
                    samples = []
            position += count


def _check_finite(engine, chunk, outcome, record, stretch):
    """Stop when a value of the state is not finite; finds the trial by running parts again."""
    name = _first_not_finite(outcome.state)
    if name is None and np.isfinite(outcome.decision).all():
        return
    low, high = 0, chunk.trials
    while name is not None and stretch.plastic and high - low > 1:
        middle = (low + high) // 2
        schedule = np.where(np.arange(len(chunk.tables["schedule"])) < middle,
                            chunk.tables["schedule"], 0.0)
        tried = engine.run(Chunk(chunk.trials, chunk.state, chunk.constants,
                                          {**chunk.tables, "schedule": schedule}, chunk.seed))
        if np.isfinite(tried.state[name]).all():
            low = middle
        else:
            high = middle
    values = outcome.state[name] if name else outcome.decision
    name = name or "readout.decision"
    where = np.argwhere(~np.isfinite(values))[0]
    moment = (f"in trial {record.trials_done + high}" if stretch.plastic
              else f"in the evaluation after trial {record.trials_done}")
    raise NonFiniteError(
        f"{name} became {values[tuple(where)]} at index {', '.join(map(str, where))} {moment}; "
        "a smaller learning rate (eta, eta_o) usually helps. What was done so far is in .run, "
        "marked incomplete")


def _first_not_finite(state):
    """The name of a variable that is not finite; weights first, for they are the cause."""
    for name in sorted(state, key=lambda n: not n.startswith(("forward", "feedback"))):
        if state[name].dtype.kind == "f" and not np.isfinite(state[name]).all():
            return name
    return None
