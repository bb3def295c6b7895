"""Training in the rate engine: mini-batches, epochs, evaluation, checkpoints and guards."""

import json
import resource
import time
import warnings
from dataclasses import replace

import numpy as np
from tqdm.auto import tqdm

from bioopzo.arguments import whole_number
from bioopzo.checks.check import check
from bioopzo.engines.rate.feed import presented
from bioopzo.engines.rate.settings import learning_rate, open_engine, settings
from bioopzo.errors import InputError, InterruptedRun, NonFiniteError
from bioopzo.run import Run
from bioopzo.training.checkpoint import (
    checkpoint_identity,
    described_settings,
    resume,
    write_checkpoint,
)
from bioopzo.training.live import listener
from bioopzo.training.start import initial_weights, provenance, scheduled, task_digest, versions
from bioopzo.training.tuned import tuned_parameters

#: Trials shown together when accuracy is measured, and what their inputs may weigh.
EVALUATION_BATCH, EVALUATION_BYTES = 1000, 3e8
#: After so many batches every weight that the text changes should have been asked to.
SETTLED = 10
#: Weights are kept at every evaluation where all of them together stay below this.
SNAPSHOT_BYTES = 50e6
#: Where the user gives none, and there are as many trials.
BATCH = 128


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
                    settings=described_settings(chosen),
                    build_s=round(time.perf_counter() - begin, 3))
    for key, value in initial_weights(engine.model, np.random.default_rng(
            np.random.SeedSequence(seed).spawn(2)[1])).items():
        engine.weights[key][...] = value.reshape(engine.weights[key].shape)
    log = _Log(run, task, split, listener(live, engine.model, task, plan.trials))
    identity = checkpoint_identity(run, plan) if chosen.checkpoint else None
    start = resume(chosen.checkpoint, engine, log, identity)
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
        model = model.without_noise()
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
            "settings": json.loads(json.dumps(described_settings(chosen))),
            "complete": True, "engine": "rate"}
    if any(run.meta.get(key) != value for key, value in mine.items()) \
            or run.meta["versions"]["bioopzo"] != versions()["bioopzo"]:
        return None
    run.model, run.task = model, task
    return run


def _go(engine, plan, chosen, log, start, bar, identity):
    inputs, targets = log.inputs, log.targets
    optimizer = engine.optimizer
    if not log.curve:
        log.evaluate(engine, 0)
        write_checkpoint(chosen.checkpoint, engine, log, 0, identity)
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
            write_checkpoint(chosen.checkpoint, engine, log, number + 1, identity)


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
        trials = trials if trials is None else whole_number("trials", trials)
        batch = min(BATCH, len(train), trials or BATCH) if batch is None else batch
        self.samples, self.batch, self.seed = train, batch, seed
        self.in_epoch = len(train) // batch if batch else 0
        if not self.in_epoch:
            raise InputError(f"batch={batch} is more than the {len(train)} training trials of "
                             f"{task.name}")
        if trials is None:
            self.epochs = whole_number("epochs", 10 if epochs is None else epochs)
            self.total = self.epochs * self.in_epoch
            evaluations = self.epochs if evaluations is None else evaluations
        else:
            self.total = trials // batch
            if not self.total:
                raise InputError(f"trials={trials} are less than one batch of {batch}")
            self.epochs = round(self.total / self.in_epoch, 3)
            evaluations = 10 if evaluations is None else evaluations
        count = min(whole_number("evaluations", evaluations), self.total)
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
