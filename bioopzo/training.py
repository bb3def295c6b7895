"""Training: the order of trials, schedules, evaluation, guards and progress, chunk by chunk."""

import importlib.metadata
import platform
import time
from dataclasses import dataclass
from numbers import Real

import numpy as np
from tqdm.auto import tqdm

from . import backends, spiking
from .checks import check
from .errors import InputError, InterruptedRun, NonFiniteError, unknown
from .live import listener
from .results import Run
from .tuning import tuned_parameters

#: What a chunk's tables may weigh, and how many trials it may hold.
TABLE_BYTES, MOST_ROWS = 24e6, 512
#: Learning rates follow their schedule in at least this many steps.
SCHEDULE_STEPS = 25


@dataclass(frozen=True)
class Stretch:
    """Trials in a row with one purpose: sample indices, plastic or not, progress (0 to 1)."""

    samples: np.ndarray
    plastic: bool
    progress: float
    last: bool = False


def train(model, task, trials=None, seed=0, backend=None, evaluations=None, split="test",
          save=None, progress=True, lazy=True, engine="spiking", epochs=None, live=False,
          **settings):
    """Train a model on a task, in the spiking engine (one trial at a time) or the rate engine.

    Parameters
    ----------
    model : Model
    task : Task
    trials : int
        Training trials (default 4000 in the spiking engine), from the split "train", and from
        "validation" too unless that is the split evaluated; reshuffled each time all were seen.
    seed : int
        Draws the initial weights, the order of trials and all noise.
    backend : ``"numpy"``, ``"cython"``, ``"standalone"`` or None (by length).
    evaluations : int
        Points of the learning curve after the start (default 10; with `epochs`, one an epoch);
        each evaluates every trial of `split` with plasticity and perturbation off.
    split : ``"test"`` or ``"validation"``
    save : path, optional
        Where the run is saved, also when it ends early (then marked incomplete).
    progress : bool
        Whether a progress bar is shown.
    lazy : bool
        Of the spiking engine: False keeps every plasticity equation dense, as it is written.
    engine : ``"spiking"`` or ``"rate"``
    epochs : int
        In place of `trials`: how often every training trial is seen (default 10 in the rate
        engine).
    live : bool or function
        True draws the learning curve in a notebook while it grows (elsewhere it only warns). A
        function is called with (trials, accuracy or None, loss) at every evaluation; the spiking
        engine reads an evaluation with the trial after it, so it comes one chunk late.
    **settings
        Of the rate engine: `batch`, `activity`, `optimizer`, `rate`, `schedule`, `checkpoint` ...,
        see `epochs.Settings`.

    Returns
    -------
    Run

    Raises
    ------
    InputError, EquationError
        Before anything runs.
    NonFiniteError, InterruptedRun
        `.run` holds what was done, marked incomplete.
    """
    if engine == "rate":
        from . import epochs as minibatches  # it uses this module

        if backend is not None:
            raise InputError("backend belongs to the spiking engine; the rate engine has compiled="
                             "True or False")
        return minibatches.train(model, task, trials, epochs, evaluations, seed, split, save,
                                 progress, live, **settings)
    if engine != "spiking":
        raise unknown("engine", engine, ("spiking", "rate"))
    if settings:
        raise InputError(f"{', '.join(sorted(settings))}: settings of engine='rate', or unknown; "
                         "the spiking engine takes backend and lazy")
    begin = time.perf_counter()
    if trials is not None and epochs is not None:
        raise InputError("give trials or epochs, not both")
    if epochs is not None:
        trials = _whole("epochs", epochs) * (len(task.splits["train"]) + (
            len(task.splits["validation"]) if split == "test" else 0))
    trials = _whole("trials", 4000 if trials is None else trials)
    evaluations = min(_whole("evaluations", 10 if evaluations is None else evaluations), trials)
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
    shape = spiking.shape_of(task, rows(task))
    course = spiking.time_course(model, task)
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
                chunk = backends.Chunk(
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


def _whole(name, value):
    if isinstance(value, bool) or not isinstance(value, Real) or value < 1 or value % 1 != 0:
        raise InputError(f"{name} is a whole number of at least 1, not {value!r}")
    return int(value)


def rows(task):
    """Trials that one chunk can hold for a task, so that its tables stay small.

    Raises `InputError` for inputs that are counts: a spike is a spike in the spiking engine.
    """
    if getattr(task.inputs, "counts", None) is not None:
        raise InputError(f"task {task.name} counts events, and an input neuron of the spiking "
                         "engine spikes once a step at most: use counts=False")
    events = spiking.shape_of(task, 1).events
    stimulus = (events + 2 * task.n_in if events else
                task.n_in * (task.steps if task.coding == "spikes" else 1))
    bytes_a_trial = 8 * (stimulus + task.n_out * (task.steps if task.targets.ndim == 3 else 1))
    return int(min(MOST_ROWS, max(2, TABLE_BYTES // bytes_a_trial)))


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
    for first, stop in zip(stops[:-1], stops[1:]):
        for begin in range(first, stop, longest):
            end = min(begin + longest, stop)
            yield Stretch(order[begin:end], True, (begin + end) / 2 / trials)
        yield from _evaluation(held_out, stop / trials, most, stop == stops[-1])


def _evaluation(samples, progress, most, last):
    parts = [samples[k:k + most - 1] for k in range(0, len(samples), most - 1)]
    for k, part in enumerate(parts):
        end = last and k == len(parts) - 1
        yield Stretch(np.append(part, part[-1]) if end else part, False, progress, end)


def tables(task, shape, samples, plastic):
    """The tables of a chunk that presents `samples` in order, padded to the chunk's rows."""
    count = len(samples)
    schedule = np.zeros(shape.rows)
    schedule[:count] = plastic
    per_trial = shape.steps if shape.varying else 1
    target = np.zeros((shape.rows * per_trial, task.n_out))
    target[:count * per_trial] = task.targets[samples].reshape(-1, task.n_out)
    if shape.events:
        return {"schedule": schedule, "target": target, **event_lists(task.inputs, shape, samples)}
    per_trial = shape.steps if task.coding == "spikes" else 1
    stimulus = np.zeros((shape.rows * per_trial, task.n_in))
    stimulus[:count * per_trial] = task.inputs[samples].reshape(-1, task.n_in)
    return {"schedule": schedule, "stimulus": stimulus, "target": target}


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


def parameter_values(model, shape):
    """Every shared constant of every object: ``{"hidden_1.tau_m": 0.01, ...}``."""
    assembly = spiking.assemble(model, shape.duration, shape.varying, events=bool(shape.events))
    return spiking.constants(assembly, model, shape)


def scheduled(values, model, progress):
    """The constants when a share `progress` of the run is done.

    eta, eta_o, alpha and mu fall linearly to the share that `eta_final`, `alpha_final` and
    `mu_final` name.
    """
    values = dict(values)
    for prefix in ("eta", "alpha", "mu"):
        final = f"{prefix}_final"
        if final not in model.parameters:
            continue
        share = 1 - (1 - float(model.parameters[final])) * progress
        for key in values:
            name = key.split(".")[1]
            if name == prefix or name.startswith(prefix + "_"):
                values[key] *= share
    return values


def initial_weights(model, rng):
    """Weights uniform within gain*sqrt(3/fan-in); feedback as the rule says."""
    values = {}
    gain = float(model.parameters["gain"])
    for k, (before, after) in enumerate(zip(model.sizes[:-1], model.sizes[1:]), 1):
        connection = model.connections.get(f"forward_{k}")
        fan_in = connection.fan_in if connection else before
        count = int(np.prod(connection.shape)) if connection else before * after
        limit = gain * np.sqrt(3 / fan_in) * (model.parameters["input_gain"] if k == 1 else 1)
        values[f"forward_{k}.w"] = rng.uniform(-limit, limit, count)
    if model.rule.matrix and model.rule.feedback_scale:
        places = [("feedback", k) for k in range(1, model.depth + 1)]
        places += [("intermediate", k) for k in range(1, model.rule.intermediate or 1)]
        for kind, k in places:
            values[f"{kind}_{k}.{model.rule.matrix}"] = rng.normal(
                0, model.rule.feedback_scale, model.sizes[-1] * model.sizes[k])
    # Branches last: a rule starts from the same weights and feedback with and without them.
    for k in model.rule.branches:
        limit = gain * np.sqrt(3 / model.sizes[k])
        values[f"forward_local_{k}.w"] = rng.uniform(-limit, limit,
                                                     model.sizes[k] * model.sizes[-1])
    return values


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
        tried = engine.run(backends.Chunk(chunk.trials, chunk.state, chunk.constants,
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


def versions():
    """Versions of everything a result depends on."""
    names = ("bioopzo", "brian2", "numpy", "scipy", "sympy")
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return {**found, "python": platform.python_version()}


def provenance(model, task, trials, seed, backend, split):
    """What a run was: rule, task, settings, text and versions, as JSON holds it."""
    return {
        "rule": model.rule_name, "options": {k: v for k, v in model.options.items()},
        "task": task.name, "coding": task.coding, "sizes": list(model.sizes),
        "trials": trials, "seed": seed, "backend": backend, "split": split,
        "digest": model.digest, "edits": [list(e) for e in model.edits],
        "parameters": {k: str(v) for k, v in model.parameters.items()},
        "state_reset": model.state_reset, "versions": versions(),
    }
