"""The experiments whose tables stand in the README."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from brian2.units import Hz

from bioopzo import tasks
from bioopzo.errors import InputError, unknown
from bioopzo.files import write_json
from bioopzo.measures.spiking import alignment
from bioopzo.model import Model
from bioopzo.run import Run
from bioopzo.studies import events as event_experiments
from bioopzo.studies import rate as rate_experiments
from bioopzo.studies.tables import markdown
from bioopzo.training.compare import Comparison, compare, format_table

RIVALS = {
    "opzo": {}, "opzo, momentum": {"form": "momentum"}, "bp": {}, "dfa": {}, "dkp": {},
    "eprop": {}, "node_perturbation": {}, "node_perturbation, two-point": {"points": "two"},
    "reinforce": {}, "readout_only": {},
}


@dataclass(frozen=True)
class Experiment:
    """Models on a task: `models` label -> keywords of `Model` (the label starts with the rule).

    `test_more`: the task's validation trials are held out with the test's, for data sets with few.
    """

    about: str
    task: str
    trials: int
    models: dict
    seeds: int = 5
    measure: str = "accuracy"
    task_options: dict = field(default_factory=dict)
    test_more: bool = False

    def make_task(self):
        """The task, with the splits of the experiment."""
        task = tasks.get(self.task, **self.task_options)
        if not self.test_more:
            return task
        held = np.concatenate([task.splits["validation"], task.splits["test"]])
        return task.replace(splits={**task.splits, "validation": np.array([], int), "test": held})


@dataclass(frozen=True)
class Measurement:
    """A result without training: `make(out)` measures, writes and returns its content."""

    about: str
    make: object


def _pick(*labels):
    return {label: RIVALS[label] for label in labels}


SMALL = _pick("opzo", "bp", "dfa", "readout_only")
EXPERIMENTS = {
    "digits_4000": Experiment("all rules on the digits, 4,000 trials", "digits", 4000, RIVALS),
    "digits_16000": Experiment("the digits, 16,000 trials", "digits", 16000,
                               _pick("opzo", "opzo, momentum", "bp", "dfa", "node_perturbation",
                                     "reinforce", "readout_only")),
    "yin_yang": Experiment("Yin-Yang, 8,000 trials", "yin_yang", 8000, SMALL),
    "temporal_patterns": Experiment("the class is in the spike times, 2,400 trials",
                                    "temporal_patterns", 2400, SMALL),
    "alignment": Experiment(
        "feedback against the expected Jacobian on the digits, by finite differences", "digits",
        4000, _pick("opzo", "opzo, momentum", "dfa"), seeds=3, measure="alignment"),
    "variants": Experiment("variants of OPZO on the digits, 4,000 trials", "digits", 4000, {
        "opzo": {},
        "opzo, noise before, eta 80 Hz": {"place": "before", "eta": 80 * Hz},
        "opzo, Gaussian noise": {"distribution": "gaussian"},
        "opzo, no antithetic pair": {"antithetic": False},
        "opzo, spiking error": {"error": "spiking"},
        "opzo, no state reset": {"state_reset": False},
        "opzo, exponential escape, 50 Hz at threshold": {"neuron": "exponential",
                                                         "rho0": 50 * Hz, "Delta": 0.2},
        "opzo, erf escape": {"neuron": "erf"},
        "opzo, hard reset": {"reset": "hard"},
        "opzo, alpha to a tenth": {"alpha_final": 0.1},
    }, seeds=3),
    "poisson": Experiment("the digits as Poisson spikes, 4,000 trials", "digits", 4000,
                          _pick("opzo", "bp", "readout_only"), seeds=3,
                          task_options={"coding": "poisson"}),
    "pattern_generation": Experiment("a target that varies in time, 2,000 trials",
                                     "pattern_generation", 2000,
                                     _pick("opzo", "bp", "dfa", "readout_only"), seeds=3),
    "nmnist_spiking": Experiment(
        "real N-MNIST recordings, one trial at a time, 4,000 trials", "nmnist", 4000,
        _pick("opzo", "bp", "dfa", "node_perturbation", "reinforce", "readout_only"), seeds=3,
        measure="costs", task_options={"partial": True, "validation": 150}, test_more=True),
}
MEASUREMENTS = {
    "nmnist_simulation": Measurement("simulated against real N-MNIST recordings",
                                     event_experiments.simulation),
}


def available():
    """Every experiment, of both engines: name -> what it measures."""
    return {**EXPERIMENTS, **rate_experiments.EXPERIMENTS, **MEASUREMENTS}


def models_of(experiment, task):
    """label -> `Model` of an experiment."""
    sizes = [task.n_in, *task.hidden, task.n_out]
    return {label: Model(sizes, rule=label.split(",")[0], **keywords)
            for label, keywords in experiment.models.items()}


def run(name, out, jobs=2, progress=True, only=()):
    """Run one experiment, write ``out/NAME.json``; returns its table as text.

    `only`: labels of an experiment of the rate engine, where not all are wanted.
    """
    if name not in available():
        raise unknown("result", name, available())
    if name in rate_experiments.EXPERIMENTS:
        content, result = rate_experiments.run(name, out, jobs, progress, only)
        _draw(result, Path(out) / name, error=True)
        return markdown(content)
    if name in MEASUREMENTS:
        return markdown(MEASUREMENTS[name].make(out))
    if only:
        raise InputError(f"{name}: only experiments of the rate engine can be run in part")
    experiment = EXPERIMENTS[name]
    task = experiment.make_task()
    models = models_of(experiment, task)
    result = compare(models, task, seeds=range(experiment.seeds), trials=experiment.trials,
                     evaluations=8, jobs=jobs, progress=progress)
    content = {"about": experiment.about, "task": task.name, "data": task.description,
               "splits": {k: len(v) for k, v in task.splits.items()}, "coding": task.coding,
               "command": f"bioopzo results {name}", "rows": result.table(),
               "models": {k: runs[0].meta["parameters"] for k, runs in result.runs.items()},
               "curves": {label: {"trials": runs[0].arrays["curve/trials"].tolist(),
                                  "accuracy": [r.arrays["curve/accuracy"].tolist() for r in runs],
                                  "loss": [r.arrays["curve/loss"].tolist() for r in runs]}
                          for label, runs in result.runs.items()},
               "versions": result.table() and next(iter(result.runs.values()))[0].meta["versions"]}
    if experiment.measure == "alignment":
        content["alignment"] = _alignment(result, jobs, progress)
    if experiment.measure == "costs":
        content["cpu_ms_per_trial"] = event_experiments.costs(task, list(task.hidden))
    write_json(Path(out) / f"{name}.json", content)
    _draw(result, Path(out) / name)
    return markdown(content) if experiment.measure == "alignment" else format_table(
        content["rows"], name)


def draw(name, out):
    """Draw the figure of an experiment of the rate engine again, from its saved runs."""
    if name not in rate_experiments.EXPERIMENTS:
        raise unknown("result with saved runs", name, rate_experiments.EXPERIMENTS)
    source = Path(out) / f"{name}.json"
    if not source.is_file():
        raise InputError(f"{source} is missing; make it with: bioopzo results {name} --out {out}")
    rows = json.loads(source.read_text())["rows"]
    folder = Path(out) / "runs" / name
    runs = {row["label"]: [Run.load(folder / f"{row['label']}-{seed}") for seed in row["seeds"]]
            for row in rows}
    _draw(Comparison(runs, None), Path(out) / name, error=True)


def _draw(result, stem, **options):
    """The learning curves beside the numbers, as PNG and PDF."""
    from bioopzo.plots.styles import figure, save  # start-up: matplotlib is slow

    fig, ax = figure(width=12.0, height=8.0)
    result.plot(ax, **options)
    save(fig, stem)


def _alignment(result, jobs, progress):
    """cos(M, J) and |M|/|J| per label, layer and seed."""
    table = {}
    for label, runs in result.runs.items():
        found = [alignment(run, seed=run.meta["seed"], jobs=jobs, progress=progress)
                 for run in runs]
        table[label] = {str(layer): {"cosine": [f[layer][0] for f in found],
                                     "ratio": [f[layer][1] for f in found]}
                        for layer in found[0]}
    return table
