"""The rate engine as training drives it: batch by batch, with checkpoints."""

import resource
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from bioopzo.engines.rate import settings as engine_settings
from bioopzo.engines.rate.feed import presented
from bioopzo.engines.rate.settings import Settings, learning_rate, open_engine
from bioopzo.errors import InputError, NonFiniteError
from bioopzo.files import writable
from bioopzo.model import Model
from bioopzo.run import Run
from bioopzo.tasks import Task
from bioopzo.training.checkpoint import (
    checkpoint_identity,
    checkpoint_path,
    described_settings,
    resume,
    write_checkpoint,
)
from bioopzo.training.guards import not_finite, stopped
from bioopzo.training.log import Evaluation, Log
from bioopzo.training.plan import Plan, Stretch, planned
from bioopzo.training.start import initial_weights, scheduled, task_digest

#: Trials shown together when accuracy is measured, and what their inputs may weigh.
EVALUATION_BATCH, EVALUATION_BYTES = 1000, 3e8
#: After so many batches every weight that the text changes should have been asked to.
SETTLED = 10
#: Weights are kept at every evaluation where all of them together stay below this.
SNAPSHOT_BYTES = 50e6


def settings(backend: None = None, lazy: bool = True, **given: Any) -> Settings:
    """The `Settings` of the engine; `InputError` for any others."""
    if backend is not None:
        raise InputError("backend belongs to the spiking engine; the rate engine has compiled="
                         "True or False")
    chosen = engine_settings.settings(**given)
    if chosen.checkpoint is not None:
        writable("checkpoint", chosen.checkpoint)
        chosen = replace(chosen, checkpoint=checkpoint_path(chosen.checkpoint))
    return chosen


def plan(task: Task, split: str, trials: int | None, epochs: int | None, evaluations: int | None,
         chosen: Settings) -> Plan:
    """The `Plan` of a run of whole batches: 10 epochs, each evaluated, by default."""
    return planned(task, split, trials, epochs, evaluations, chosen.batch)


def fitted(model: Model, task: Task, chosen: Settings) -> Model:
    """The model with the neuron that the activity asks for."""
    if chosen.activity == "deterministic" and model.neuron != "deterministic":
        return model.without_noise()
    return model


def backend(chosen: Settings, plan: Plan) -> str:
    """The name of the back end: this engine has one."""
    return "rate"


def description(task: Task, plan: Plan, chosen: Settings) -> dict[str, Any]:
    """What else a run's `meta` says of this engine."""
    return {"engine": "rate", "epochs": plan.epochs, "task_digest": task_digest(task),
            "settings": described_settings(replace(chosen, batch=plan.batch))}


def shuffled(seed: int) -> Callable[[int], np.random.Generator]:
    """The generator of an epoch's order: that of each epoch is its own, so any can be taken up."""
    return lambda epoch: np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(7, epoch)))


class Driver:
    """An engine with its weights; `run` takes it through a batch or an evaluation."""

    def __init__(self, run: Run, plan: Plan, chosen: Settings, seed: int, log: Log,
                 announce: Callable[[str], object] | None = None):
        begin = time.perf_counter()
        self.model, self.task, self.plan, self.seed = run.model, run.task, plan, seed
        self.log, self.chosen = log, replace(chosen, batch=plan.batch)
        self.engine = open_engine(self.model, self.task, self.chosen, seed)
        self.inputs, self.targets = presented(self.task)
        weights = np.random.default_rng(np.random.SeedSequence(seed).spawn(2)[1])
        for key, value in initial_weights(self.model, weights).items():
            self.engine.weights[key][...] = value.reshape(self.engine.weights[key].shape)
        run.meta.update(description(self.task, plan, chosen),
                        build_s=round(time.perf_counter() - begin, 3))
        self.identity = checkpoint_identity(run.meta)
        self.done = resume(self.chosen.checkpoint, self.engine, log, self.identity)
        self.cost, self.costs, self.batches = 0.0, 0.0, 0

    def stretches(self) -> Iterator[Stretch]:
        """What is left of the plan, batch by batch."""
        return self.plan.stretches(shuffled(self.seed),
                                   start=self.done if self.log.evaluations else None)

    def run(self, stretch: Stretch) -> None:
        """Learn from a batch; or evaluate, and write a checkpoint."""
        if stretch.plastic:
            self._learn(stretch)
            return
        if self.done:
            self._check_finite()
        self.log.evaluated(self._evaluation(stretch.samples))
        self.costs, self.batches = 0.0, 0
        write_checkpoint(self.chosen.checkpoint, self.engine, self.log, self.done, self.identity)

    def final(self) -> dict[str, np.ndarray]:
        """The weights, and what else is kept from batch to batch, flat, by name."""
        kept = {**self.engine.weights, **self.engine.shared}
        return {name: value.ravel().copy() for name, value in kept.items()}

    def closing(self) -> dict[str, Any]:
        """What else a run's `meta` says at its end: shapes of the weights, memory."""
        return {"shapes": {key: list(value.shape) for key, value in self.engine.weights.items()},
                "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}

    def _learn(self, stretch):
        engine, samples, share = self.engine, stretch.samples, stretch.progress
        rate = learning_rate(engine.optimizer, self.chosen.schedule, share)
        _, cost = engine.train_batch(self.inputs[samples], self.targets[samples],
                                     scheduled(engine.constants, self.model, share), rate)
        self.log.seen(len(samples))
        self.cost = float(cost.sum(axis=1).mean())
        self.costs, self.batches = self.costs + self.cost, self.batches + 1
        if not np.isfinite(self.cost):
            self._check_finite()
        if self.done == SETTLED and not engine.immediate:
            _warn_where_nothing_learns(engine)
        self.done += 1

    def _evaluation(self, members):
        """Accuracy, loss and rates on the held-out trials, plasticity and perturbation off."""
        task, count = self.task, len(members)
        decisions, loss = [], 0.0
        spikes: dict[str, float] = {}
        a_trial = 4 * task.n_in * (task.steps if task.coding == "spikes" else 1)
        most = int(max(1, min(EVALUATION_BATCH, EVALUATION_BYTES // a_trial)))
        for part in (members[k:k + most] for k in range(0, count, most)):
            decision, cost, fired = self.engine.evaluate(self.inputs[part], self.targets[part])
            decisions.append(decision)
            loss += float(cost.sum()) / count
            for name, value in fired.items():
                spikes[name] = spikes.get(name, 0) + float(value.mean()) * len(part) / count
        rates = {name: value / float(task.duration) for name, value in spikes.items()}
        return Evaluation(self.log.trials, members, np.concatenate(decisions), loss, rates,
                          self._snapshot(),
                          {"train_loss": self.costs / self.batches if self.batches else loss})

    def _snapshot(self):
        weights = self.engine.weights
        if sum(value.nbytes for value in weights.values()) * 12 >= SNAPSHOT_BYTES:
            return {}
        return {key: value.ravel().copy() for key, value in weights.items()}

    def _check_finite(self):
        """Stop with the name of the first value that is not finite."""
        engine = self.engine
        state = {**engine.weights, **engine.shared, **engine.passes[True].state}
        name = not_finite(state)
        if name:
            raise stopped(name, state[name], f"within {self.log.trials} trials",
                          "rate, or eta with 'sgd'")
        if not np.isfinite(self.cost):
            raise NonFiniteError(f"the loss became {self.cost} within {self.log.trials} trials")


def _warn_where_nothing_learns(engine):
    """Say it when the text changes weights, but nothing has asked them to change."""
    asked = {node.target for node in engine.program.nodes + engine.program.finish
             if node.kind == "learn" and node.target.endswith(".w")}
    still = sorted(asked - engine.moved)
    if still:
        warnings.warn(f"{', '.join(still)}: no error or reward has reached these weights. With "
                      "activity='rates', what compares a spike with its chance (REINFORCE) is "
                      "always zero: use activity='spikes'", stacklevel=6)
