"""Training in the rate engine: mini-batches, epochs, evaluation, checkpoints and guards."""

import hashlib
import json
import resource
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from . import backends, optimizers, spiking
from .checks import check
from .errors import InputError, InterruptedRun, NonFiniteError, unknown
from .live import listener
from .optimizers import Optimizer
from .rate import Engine
from .results import Run, write_atomically
from .training import _whole, initial_weights, provenance, scheduled, versions
from .tuning import tuned_parameters

CHECKPOINT_FORMAT = 1
#: Trials shown together when accuracy is measured, and what their inputs may weigh.
EVALUATION_BATCH, EVALUATION_BYTES = 1000, 3e8
#: After so many batches every weight that the text changes should have been asked to.
SETTLED = 10
#: Weights are kept at every evaluation where all of them together stay below this.
SNAPSHOT_BYTES = 50e6
#: Where the user gives none, and there are as many trials.
BATCH = 128


@dataclass(frozen=True)
class Settings:
    """How the rate engine trains (the keywords of `train` with ``engine="rate"``).

    Parameters
    ----------
    batch : int, optional
        Trials whose weight changes are averaged; the last incomplete batch of an epoch is left.
        Default 128, or as many as there are where there are fewer.
    activity : ``"rates"`` (default), ``"spikes"`` or ``"deterministic"``
    optimizer : str or Optimizer
        ``"adamw"`` (default), ``"momentum"``, ``"sgd"`` (dw/dt as it is written), or a text of
        your own.
    rate : float, optional
        The optimiser's learning rate; default its own.
    schedule : ``"cosine"`` (default), ``"linear"`` or ``"constant"``
        How the rate falls, batch by batch, to 0 at the end.
    precision : ``"single"`` (default) or ``"double"``
    updates : ``"trial"`` (default) or ``"step"``
    steps_at_once : int, optional
        Time steps that go through a layer together; default all that memory allows.
    compiled : bool, optional
        Whether element-wise code is compiled; default where there is a compiler.
    checkpoint : path, optional
        Written after every evaluation; where it exists, training goes on from it, to the same bits.
    """

    batch: int | None = None
    activity: str = "rates"
    optimizer: object = "adamw"
    rate: float | None = None
    schedule: str = "cosine"
    precision: str = "single"
    updates: str = "trial"
    steps_at_once: int | None = None
    compiled: bool | None = None
    checkpoint: object = None

    def chosen_optimizer(self):
        """The `Optimizer` with the rate asked for."""
        chosen = (self.optimizer if isinstance(self.optimizer, Optimizer)
                  else optimizers.get(self.optimizer))
        if self.rate is None:
            return chosen
        if isinstance(self.rate, bool) or not isinstance(self.rate, (int, float)) \
                or not 0 < self.rate < float("inf"):
            raise InputError(f"rate is a number above 0, not {self.rate!r}")
        if "rate" not in chosen.parameters:
            raise InputError(f"optimizer {chosen.name} has no rate; its parameters are "
                             f"{', '.join(chosen.parameters) or 'none'}")
        return replace(chosen, parameters={**chosen.parameters, "rate": float(self.rate)})


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
    if chosen.schedule not in optimizers.SCHEDULES:
        raise unknown("schedule", chosen.schedule, optimizers.SCHEDULES)
    return chosen


def learning_rate(chosen, schedule, progress):
    """The optimiser's rate when a share `progress` of the run is done; None without a rate."""
    if "rate" not in chosen.parameters:
        return None
    share = {"cosine": (1 + np.cos(np.pi * progress)) / 2, "linear": 1 - progress,
             "constant": 1.0}[schedule]
    return float(chosen.parameters["rate"] * share)


def train(model, task, trials=None, epochs=None, evaluations=None, seed=0, split="test", save=None,
          progress=True, live=False, **given):
    """Train a model on a task in the rate engine; see `bioopzo.train` and `Settings`."""
    begin = time.perf_counter()
    chosen = settings(**given)
    model = _prepared(model, task, chosen)
    check(model, complete=False)
    plan = _Plan(task, trials, epochs, evaluations, split, chosen.batch, seed)
    chosen = replace(chosen, batch=plan.batch)
    engine = open_engine(model, task, chosen, seed)
    run = Run(model=engine.model, task=task)
    run.meta.update(provenance(engine.model, task, plan.trials, seed, "rate", split))
    run.meta.update(engine="rate", epochs=plan.epochs, task_digest=task_digest(task),
                    settings=_described(chosen), build_s=round(time.perf_counter() - begin, 3))
    for key, value in initial_weights(engine.model, np.random.default_rng(
            np.random.SeedSequence(seed).spawn(2)[1])).items():
        engine.weights[key][...] = value.reshape(engine.weights[key].shape)
    log = _Log(run, task, split, listener(live, engine.model, task, plan.trials))
    identity = _identity(run, plan) if chosen.checkpoint else None
    start = _resume(chosen.checkpoint, engine, log, identity)
    if log.curve:
        log.announce(0)
    bar = tqdm(total=plan.total * chosen.batch, initial=start * chosen.batch, unit="trial",
               disable=not progress, leave=False, delay=1,
               desc=f"{model.rule_name} on {task.name} ({engine.activity})")
    try:
        with bar:
            _go(engine, plan, chosen, log, start, bar, identity)
    except (NonFiniteError, KeyboardInterrupt) as problem:
        _close(run, engine, log, begin, complete=False)
        run.meta["stopped"] = str(problem) or "interrupted"
        if save:
            run.save(save)
        if isinstance(problem, NonFiniteError):
            problem.run = run
            raise
        stop = InterruptedRun(f"interrupted after {log.trials} of {plan.trials} trials")
        stop.run = run
        raise stop from None
    _close(run, engine, log, begin, complete=True)
    if save:
        run.save(save)
    return run


def _prepared(model, task, chosen):
    """The model with the task's regime, and with the neuron that the activity asks for."""
    model = model.for_task(task, tuned_parameters(task.name, model))
    if chosen.activity == "deterministic" and model.neuron != "deterministic":
        model = model._with(neuron="deterministic")
    return model


def finished(path, model, task, epochs=None, trials=None, seed=0, split="test", **given):
    """A complete run saved at `path` if it is this very one, else None.

    The same model (digest), task, seed, settings, length and package version.
    """
    try:
        run = Run.load(path)
    except InputError:
        return None
    chosen = settings(**given)
    model = _prepared(model, task, chosen)
    plan = _Plan(task, trials, epochs, None, split, chosen.batch, seed)
    chosen = replace(chosen, batch=plan.batch)
    mine = {"digest": model.digest, "task": task.name, "task_digest": task_digest(task),
            "seed": seed, "split": split, "trials": plan.trials,
            "settings": json.loads(json.dumps(_described(chosen))),
            "complete": True, "engine": "rate"}
    if any(run.meta.get(key) != value for key, value in mine.items()) \
            or run.meta["versions"]["bioopzo"] != versions()["bioopzo"]:
        return None
    run.model, run.task = model, task
    return run


def task_digest(task):
    """A short hash of a task: its trials, their times and which of them are for what."""
    content = hashlib.blake2b(repr((task.name, task.coding, float(task.duration), float(task.dt),
                                    float(task.input_rate))).encode(), digest_size=8)
    inputs = getattr(task.inputs, "arrays", (task.inputs,))  # of events: those that make them up
    for array in (*inputs, task.targets, task.mask, *map(task.splits.get, sorted(task.splits))):
        content.update(np.ascontiguousarray(array))
    return content.hexdigest()


def open_engine(model, task, chosen, seed=0, draw=None):
    """The `Engine` of a model that has been given its task."""
    shape = spiking.shape_of(task, 2)
    course = spiking.time_course(model, task)
    with backends.ONE_AT_A_TIME:
        return Engine(model, shape, course, chosen.activity, chosen.precision, chosen.updates,
                      chosen.steps_at_once, chosen.chosen_optimizer(), chosen.compiled, seed, draw)


def _go(engine, plan, chosen, log, start, bar, identity):
    inputs, targets = log.inputs, log.targets
    optimizer = engine.optimizer
    if not log.curve:
        log.evaluate(engine, 0)
        _write_checkpoint(chosen.checkpoint, engine, log, 0, identity)
    for number, samples in plan.batches(start):
        share = number / plan.total
        constants = scheduled(engine.constants, engine.model, share)
        _, cost = engine.train_batch(inputs[samples], targets[samples], constants,
                                     learning_rate(optimizer, chosen.schedule, share))
        log.seen(len(samples), cost)
        if not np.isfinite(log.cost):
            _name_non_finite(engine, log)
        bar.update(len(samples))
        if number == SETTLED and not engine.immediate:
            _warn_where_nothing_learns(engine)
        if number + 1 in plan.marks:
            _name_non_finite(engine, log)
            log.evaluate(engine, log.trials)
            bar.set_postfix_str(log.latest)
            _write_checkpoint(chosen.checkpoint, engine, log, number + 1, identity)


def _warn_where_nothing_learns(engine):
    """Say it when the text changes weights, but nothing has asked them to change."""
    asked = {node.target for node in engine.program.nodes + engine.program.finish
             if node.kind == "learn" and node.target.endswith(".w")}
    still = sorted(asked - engine.moved)
    if still:
        warnings.warn(f"{', '.join(still)}: no error or reward has reached these weights. With "
                      "activity='rates', what compares a spike with its chance (REINFORCE) is "
                      "always zero: use activity='spikes'", stacklevel=4)


class _Plan:
    """Which samples each batch holds, and after which batches to evaluate."""

    def __init__(self, task, trials, epochs, evaluations, split, batch, seed):
        if split not in ("test", "validation"):
            raise InputError(f"split is 'test' or 'validation', not {split!r}")
        if not len(task.splits[split]):
            raise InputError(f"task {task.name} has no trials in its {split} split")
        train = task.splits["train"]
        if split == "test":
            train = np.sort(np.concatenate([train, task.splits["validation"]]))
        if trials is not None and epochs is not None:
            raise InputError("give trials or epochs, not both")
        trials = trials if trials is None else _whole("trials", trials)
        batch = min(BATCH, len(train), trials or BATCH) if batch is None else batch
        self.samples, self.batch, self.seed = train, batch, seed
        self.in_epoch = len(train) // batch if batch else 0
        if not self.in_epoch:
            raise InputError(f"batch={batch} is more than the {len(train)} training trials of "
                             f"{task.name}")
        if trials is None:
            self.epochs = _whole("epochs", 10 if epochs is None else epochs)
            self.total = self.epochs * self.in_epoch
            evaluations = self.epochs if evaluations is None else evaluations
        else:
            self.total = trials // batch
            if not self.total:
                raise InputError(f"trials={trials} are less than one batch of {batch}")
            self.epochs = round(self.total / self.in_epoch, 3)
            evaluations = 10 if evaluations is None else evaluations
        count = min(_whole("evaluations", evaluations), self.total)
        self.marks = set(np.round(np.linspace(0, self.total, count + 1)).astype(int)[1:].tolist())
        self.trials = self.total * batch

    def batches(self, start):
        """(number, sample indices) from batch `start` on; the order depends on the seed only."""
        for number in range(start, self.total):
            epoch, k = divmod(number, self.in_epoch)
            if k == 0 or number == start:
                seeds = np.random.SeedSequence(self.seed, spawn_key=(7, epoch))
                order = np.random.default_rng(seeds).permutation(self.samples)
            yield number, order[k * self.batch:(k + 1) * self.batch]


class _Log:
    """The learning curve as it grows."""

    def __init__(self, run, task, split, tell=None):
        self.run, self.task, self.tell = run, task, tell
        self.members = np.asarray(task.splits[split])
        self.inputs, self.targets = presented(task)
        self.trials, self.cost, self.curve, self.snapshots = 0, 0.0, {}, {}
        self.costs, self.batches = 0.0, 0

    def seen(self, count, cost):
        """Count a batch and its training loss (with noise and dropout on)."""
        self.trials += count
        self.cost = float(cost.sum(axis=1).mean())
        self.costs, self.batches = self.costs + self.cost, self.batches + 1

    def evaluate(self, engine, trials):
        """Accuracy, loss and rates on the held-out trials, plasticity and perturbation off."""
        task, point = self.task, {"trials": trials}
        hits, loss, spikes, count = 0, 0.0, {}, len(self.members)
        a_trial = 4 * task.n_in * (task.steps if task.coding == "spikes" else 1)
        most = int(max(1, min(EVALUATION_BATCH, EVALUATION_BYTES // a_trial)))
        for k in range(0, count, most):
            part = self.members[k:k + most]
            decision, cost, fired = engine.evaluate(self.inputs[part], self.targets[part])
            loss += float(cost.sum()) / count
            if task.labels is not None:
                hits += int((decision.argmax(axis=1) == task.labels[part]).sum())
            for name, value in fired.items():
                spikes[name] = spikes.get(name, 0) + float(value.mean()) * len(part) / count
        if not np.isfinite(loss):  # weights may be finite and yet too large
            raise NonFiniteError(
                f"the held-out loss became {loss} after {trials} trials; a smaller learning rate "
                "usually helps. What was done so far is in .run, marked incomplete")
        point["loss"] = loss
        if task.labels is not None:
            point["accuracy"] = hits / count
        point["train_loss"] = self.costs / self.batches if self.batches else loss
        self.costs, self.batches = 0.0, 0
        for name, value in spikes.items():
            point[f"rates/{name}"] = value / float(task.duration)
        for name, value in point.items():
            self.curve.setdefault(name, []).append(value)
        self.announce(-1)
        if sum(w.nbytes for w in engine.weights.values()) * 12 < SNAPSHOT_BYTES:
            for key, value in engine.weights.items():
                self.snapshots.setdefault(key, []).append(value.ravel().copy())
        accuracy = f"{100 * point['accuracy']:.2f} %, " if "accuracy" in point else ""
        self.latest = f"{accuracy}loss {loss:.4f}"

    def announce(self, first):
        """Tell who listens of the evaluations from number `first` on."""
        if self.tell:
            curve = self.curve
            accuracies = curve.get("accuracy", [None] * len(curve["trials"]))
            for point in list(zip(curve["trials"], accuracies, curve["loss"]))[first:]:
                self.tell(*point)


def presented(task):
    """Inputs and targets of a task as the engine takes them, by sample indices."""
    inputs, targets = task.inputs, task.targets.astype(np.float32)
    if targets.ndim == 3 or task.coding == "spikes":
        return _InTime(inputs, task.coding == "spikes"), _InTime(targets, targets.ndim == 3)
    return inputs, targets


class _InTime:
    """Samples as arrays with time first, (steps, batch, n), where they have a time axis."""

    def __init__(self, values, in_time):
        self.values, self.in_time = values, in_time

    def __getitem__(self, samples):
        found = self.values[samples]
        return np.moveaxis(found, 1, 0) if self.in_time else found


def _name_non_finite(engine, log):
    """Stop with the name of the first value that is not finite."""
    states = {**engine.weights, **engine.shared, **engine.passes[True].state}
    for name, value in states.items():
        if not np.isfinite(value).all():
            where = np.argwhere(~np.isfinite(value))[0]
            raise NonFiniteError(
                f"{name} became {value[tuple(where)]} at index {', '.join(map(str, where))} within "
                f"{log.trials} trials; a smaller learning rate (rate, or eta with 'sgd') usually "
                "helps. What was done so far is in .run, marked incomplete")
    if not np.isfinite(log.cost):
        raise NonFiniteError(f"the loss became {log.cost} within {log.trials} trials")


def _close(run, engine, log, begin, complete):
    run.meta["shapes"] = {key: list(value.shape) for key, value in engine.weights.items()}
    run.meta["trials_done"], run.meta["complete"] = log.trials, complete
    for key, value in engine.weights.items():
        run.arrays[f"final/{key}"] = value.ravel().copy()
    for key, value in engine.shared.items():
        run.arrays[f"final/{key}"] = value.ravel().copy()
    for name, values in log.curve.items():
        key = name if name.startswith("rates/") else f"curve/{name}"
        run.arrays[key] = np.array(values)
        run.units[key] = "Hz" if name.startswith("rates/") else "1"
    for key, values in log.snapshots.items():
        run.arrays[f"snapshots/{key}"] = np.array(values)
        run.units[f"snapshots/{key}"] = "1"
    rates = {k[6:]: v for k, v in log.curve.items() if k.startswith("rates/")}
    run.meta["untrained_rates_hz"] = {k: round(v[0], 2) for k, v in rates.items()}
    run.meta["rates_hz"] = {k: round(v[-1], 2) for k, v in rates.items()}
    if complete:
        run.meta["test_loss"] = log.curve["loss"][-1]
        run.meta["test_accuracy"] = log.curve.get("accuracy", [None])[-1]
    run.meta["wall_s"] = round(time.perf_counter() - begin, 3)
    run.meta["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


# ---------------------------------------------------------------------------- checkpoints

def _described(chosen):
    found = asdict(replace(chosen, checkpoint=None, optimizer=None))
    optimizer = chosen.chosen_optimizer()
    found["optimizer"] = {"name": optimizer.name, "text": optimizer.text,
                          **dict(optimizer.parameters)}
    return {k: v for k, v in found.items() if k != "checkpoint"}


def _identity(run, plan):
    """What a checkpoint must agree with: model, task, settings, seed, length, package version."""
    return {"digest": run.meta["digest"], "task": run.meta["task"],
            "data": run.meta["task_digest"], "seed": run.meta["seed"],
            "settings": run.meta["settings"], "trials": plan.trials, "split": run.meta["split"],
            "version": run.meta["versions"]["bioopzo"], "format": CHECKPOINT_FORMAT}


def _write_checkpoint(path, engine, log, position, identity):
    if path is None:
        return
    arrays = {f"weights/{k}": v for k, v in engine.weights.items()}
    arrays |= {f"moments/{k}": v for k, v in engine.moments.items()}
    arrays |= {f"shared/{k}": v for k, v in engine.shared.items()}
    arrays |= {f"state/{k}": v for k, v in engine.passes[True].state.items()
               if k not in engine.shared}
    if not engine.model.state_reset:  # then reading, too, goes on from where it was
        arrays |= {f"reading/{k}": v for k, v in engine.passes[False].state.items()
                   if k not in engine.shared}
    arrays |= {f"snapshots/{k}": np.array(v) for k, v in log.snapshots.items()}
    content = {"identity": identity, "position": position, "updates": engine.updates_done,
               "curve": log.curve, "trials": log.trials,
               "streams": {str(p): [_plain(s.bit_generator.state) for s in streams]
                           for p, streams in engine.streams.items()}}
    arrays["content"] = np.frombuffer(json.dumps(content).encode(), np.uint8)
    write_atomically(_checkpoint_path(path), lambda file: np.savez(file, **arrays))


def _checkpoint_path(path):
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")


def _plain(state):
    """A generator's state in numbers that JSON keeps exactly."""
    if isinstance(state, dict):
        return {k: _plain(v) for k, v in state.items()}
    return [int(x) for x in state] if isinstance(state, np.ndarray) else \
        int(state) if isinstance(state, np.integer) else state


def _restored(state):
    return {k: _restored(v) if isinstance(v, dict) else
            np.array(v, np.uint64) if isinstance(v, list) else v for k, v in state.items()}


def _resume(path, engine, log, identity):
    """Take up a checkpoint; the number of batches done. `InputError` when it is not of this run."""
    if path is None or not _checkpoint_path(path).exists():
        return 0
    path = _checkpoint_path(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        content = json.loads(arrays.pop("content").tobytes())
        theirs = content["identity"]
    except Exception as problem:
        raise _unreadable(path, problem) from None
    for name, mine in json.loads(json.dumps(identity)).items():
        if theirs.get(name) != mine:
            raise InputError(f"the checkpoint {path} is of another run: its {name} is "
                             f"{theirs.get(name)!r}, this run's is {mine!r}; give another path or "
                             "remove it")
    try:
        return _take_up(arrays, content, engine, log)
    except (KeyError, IndexError, TypeError, ValueError) as problem:
        raise _unreadable(path, problem) from None


def _unreadable(path, problem):
    what = f"it has no {problem}" if isinstance(problem, KeyError) else problem
    return InputError(f"the checkpoint {path} cannot be read: {what}; remove it to start anew")


def _take_up(arrays, content, engine, log):
    """Put everything where it was; the number of batches done. `KeyError` where something lacks."""
    kinds = {kind: {} for kind in ("weights", "shared", "moments", "snapshots", "state", "reading")}
    for name, value in arrays.items():
        kind, _, key = name.partition("/")
        kinds[kind][key] = value
    for kind, places in (("weights", engine.weights), ("shared", engine.shared)):
        _same_names(kind, kinds[kind], places)
        for key, place in places.items():
            _put(place, kinds[kind][key], key)
    if content["updates"]:
        readout = f"forward_{engine.model.depth + 1}.w"  # always changes
        for name in engine.optimizer.variables:
            if f"{readout}:{name}" not in kinds["moments"]:
                raise KeyError(f"moments/{readout}:{name}")
    engine.moments = kinds["moments"]
    if kinds["snapshots"]:
        _same_names("snapshots", kinds["snapshots"], engine.weights)
    log.snapshots = {key: list(value) for key, value in kinds["snapshots"].items()}
    for plastic, kind in ((True, "state"), (False, "reading")):
        engine.passes[plastic].take_up(kinds[kind])
    engine.updates_done, log.curve, log.trials = (content[k] for k in ("updates", "curve",
                                                                       "trials"))
    for plastic, streams in engine.streams.items():
        for stream, saved in zip(streams, content["streams"][str(plastic)], strict=True):
            stream.bit_generator.state = _restored(saved)
    return content["position"]


def _same_names(kind, found, places):
    for key in sorted(set(places) ^ set(found)):
        if key in places:
            raise KeyError(f"{kind}/{key}")
        raise ValueError(f"{kind}/{key} is unknown")


def _put(place, value, key):
    if value.shape != place.shape:
        raise ValueError(f"{key} has the shape {value.shape}, not {place.shape}")
    place[...] = value
