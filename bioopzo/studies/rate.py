"""The README's tables of the rate engine, each made by ``bioopzo results NAME``.

Rates and other settings were chosen on the validation split of MNIST (`MNIST`, `RATES`), the
tables are measured on the test split. Fashion-MNIST takes them as they are.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from brian2.units import ms

from bioopzo import tasks
from bioopzo.errors import unknown
from bioopzo.files import write_json
from bioopzo.measures import rate as gradients
from bioopzo.model import Model
from bioopzo.training.compare import compare

#: Of every model: deterministic neurons, as in the papers, with dropout (not for ZO, as there).
NETWORK = {"dropout": 0.2}
SETTINGS = {"activity": "deterministic", "batch": 128, "optimizer": "adamw", "rate": 1e-3}
ZO = {"baseline": False, "dropout": 0.0}
RULES = {"opzo": {}, "bp": {}, "dkp": {}, "dfa": {}, "node_perturbation, ZO": ZO,
         "readout_only": {}}
#: The paper's test accuracies after 50 epochs (%), table 1.
PUBLISHED = {"bp": 98.38, "opzo": 98.34, "dkp": 98.14, "dfa": 98.05,
             "node_perturbation, ZO": 86.53}


@dataclass(frozen=True)
class RateExperiment:
    """Models on a data set in the rate engine.

    `models` label -> keywords of `Model` (the label starts with the rule); `settings` label ->
    settings of one, `common` of all; `hidden` layers, where not the task's; `measure` what is
    measured beside accuracy.
    """

    about: str
    models: dict
    task: str = "mnist"
    task_options: dict = field(default_factory=dict)
    epochs: int = 10
    seeds: int = 3
    settings: dict = field(default_factory=dict)
    common: dict = field(default_factory=dict)
    hidden: tuple = ()
    measure: str = ""


def _small(**options):
    """A part of the digits, for tables with many columns."""
    return {"samples": 5000, "validation": 1000, **options}


SLOW = {"node_perturbation, ZO": {"rate": 3e-4}}
#: Chosen with bp and OPZO on 500 validation recordings beside 2,000 simulated ones.
EVENTS = {"rate": 3e-3}
EXPERIMENTS = {
    "mnist": RateExperiment("MNIST, 60,000 digits, 10 epochs", RULES, settings=SLOW,
                            measure="gradients"),
    "mnist_50": RateExperiment("MNIST, 50 epochs, one run of each rule",
                               {k: v for k, v in RULES.items() if k != "readout_only"},
                               epochs=50, seeds=1, settings=SLOW),
    "fashion_mnist": RateExperiment("Fashion-MNIST with MNIST's settings", RULES,
                                    task="fashion_mnist", settings=SLOW),
    "mnist_activity": RateExperiment(
        "kinds of activity, 6,000 digits",
        {f"{rule}, {kind}": {} for kind in ("rates", "spikes", "deterministic")
         for rule in ("opzo", "bp")},
        task_options=_small(), settings={
            f"{rule}, {kind}": {"activity": kind} for kind in ("rates", "spikes", "deterministic")
            for rule in ("opzo", "bp")}),
    "mnist_noise": RateExperiment(
        "OPZO's noise: distribution and place, and the form of the feedback rule, 6,000 digits",
        {f"opzo, {kind} {place}": {"distribution": kind, "place": place}
         for place in ("after", "before") for kind in ("rademacher", "gaussian")}
        | {"opzo, momentum": {"form": "momentum"}}, task_options=_small()),
    "mnist_alpha": RateExperiment(
        "alpha falls to a hundredth, 6,000 digits",
        {"opzo, plain, alpha constant": {"form": "plain"},
         "opzo, plain, alpha falls": {"form": "plain", "alpha_final": 0.01},
         "opzo, momentum, alpha falls": {"form": "momentum", "alpha_final": 0.01},
         "opzo, least mean squares, alpha falls": {"form": "lms", "alpha_final": 0.01}},
        task_options=_small(), measure="alignment"),
    "mnist_angle": RateExperiment(
        "MNIST, 10 epochs, a wider surrogate derivative (width .7), initial weights of half the "
        "size, half the learning rate",
        {rule: {"surrogate": "localzo_normal", "delta_z": 0.7, "gain": 1.0}
         for rule in ("opzo", "bp")}, seeds=2, common={"rate": 5e-4}, measure="angle"),
    "nmnist_simulated": RateExperiment(
        "SIMULATED N-MNIST, 7,000 recordings to train, 2,000 to test, 30 frames of 10 ms, 12 "
        "epochs", {rule: {} for rule in ("opzo", "bp", "dfa")}, task="nmnist",
        task_options={"engine": "rate", "simulate": True, "samples": 6000, "test": 2000,
                      "counts": True}, epochs=12, common=EVENTS),
    "nmnist_transfer": RateExperiment(
        "trained on 21,000 SIMULATED recordings of N-MNIST, tested on real ones, 6 epochs; not on "
        "those that were looked at while the simulator was made",
        {rule: {} for rule in ("opzo", "bp")}, task="nmnist_transfer",
        task_options={"counts": True, "samples": 20000, "real": "unseen"}, epochs=6, seeds=2,
        hidden=(400, 400), common=EVENTS),
}


def discrete(name, steps=6, warmup=3, **regime):
    """A small task in the papers' discrete setting: few steps, half of the potential left at each.

    For ``"digits"`` and ``"yin_yang"``; `mnist` has this regime by itself. The task's name is
    ``"discrete_NAME"``, so that rates tuned for the spiking engine are not taken for it. `regime`
    replaces values of the regime, such as ``input_gain=2.0``.
    """
    dt = 1 * ms
    task = tasks.get(name, duration=steps * dt, dt=dt, warmup=warmup * dt)
    return task.replace(name=f"discrete_{name}", hidden=(100, 100), parameters={
        "tau_m": dt / np.log(2), "tau_o": dt / np.log(2), "b": 0.5, "c": 0.05, "gain": 2.0,
        "T_z": 2 * dt, "T_w": dt, "alpha": 0.2 / dt, "mu": 10.0, "decay": 0.0 / dt, **regime})


def run(name, out, jobs=2, progress=True, only=()):
    """Run one experiment: writes ``out/NAME.json`` (and ``NAME_gradients.json``); its content.

    `only`: labels, where not all of them are wanted. Raises `InputError` for an unknown one.
    """
    experiment = EXPERIMENTS[name]
    for label in only:
        if label not in experiment.models:
            raise unknown(f"label of {name}", label, experiment.models)
    chosen = {label: experiment.models[label] for label in only or experiment.models}
    task = tasks.get(experiment.task, **experiment.task_options)
    sizes = [task.n_in, *(experiment.hidden or task.hidden), task.n_out]
    models = {label: Model(sizes, rule=label.split(",")[0], **{**NETWORK, **keywords})
              for label, keywords in chosen.items()}
    result = compare(models, task, seeds=range(experiment.seeds), epochs=experiment.epochs,
                     jobs=jobs, progress=progress, engine="rate", out=Path(out) / "runs" / name,
                     settings={**SETTINGS, **experiment.common,
                               **{k: v for k, v in experiment.settings.items() if k in models}})
    first = next(iter(result.runs.values()))[0]
    content = {
        "about": experiment.about, "task": task.name, "data": task.description,
        "command": " ".join([f"bioopzo results {name}", *(f"--only {label!r}" for label in only)]),
        "engine": "rate", "rows": result.table(), "epochs": experiment.epochs,
        "settings": {label: runs[0].meta["settings"] for label, runs in result.runs.items()},
        "models": {label: runs[0].meta["parameters"] for label, runs in result.runs.items()},
        "curves": {label: {"trials": runs[0].arrays["curve/trials"].tolist(),
                           "accuracy": [r.arrays["curve/accuracy"].tolist() for r in runs],
                           "loss": [r.arrays["curve/loss"].tolist() for r in runs]}
                   for label, runs in result.runs.items()},
        "versions": first.meta["versions"],
    }
    if name == "mnist_50":
        content["published"] = PUBLISHED
    if experiment.measure in ("alignment", "angle"):
        content["alignment"] = _alignment(result)
    if experiment.measure == "angle":
        content["angle"] = _angles(result)
    write_json(Path(out) / f"{name}.json", content)
    if experiment.measure == "gradients":
        found = measure(result)
        write_json(Path(out) / f"{name}_gradients.json",
                   {**{k: content[k] for k in ("task", "command", "engine", "versions")},
                    "about": "angles, variances and feedback of the trained networks", **found})
    return content, result


def _with_matrix(result):
    """The runs of a comparison whose rule has a feedback matrix: label -> runs."""
    return {label: runs for label, runs in result.runs.items() if runs[0].model.rule.matrix}


def _angles(result):
    """Cosine of every run's update with backpropagation's: label -> layer -> list over seeds."""
    table = {}
    for label, runs in _with_matrix(result).items():
        found = [gradients.update_angle(run, seed=run.meta["seed"]) for run in runs]
        table[label] = {key.split(".")[0][8:]: [f[key][0] for f in found] for key in found[0]}
    return table


def _alignment(result):
    """cos(M, J) and |M|/|J| of every run: label -> layer -> lists over seeds."""
    table = {}
    for label, runs in _with_matrix(result).items():
        found = [gradients.alignment(run, seed=run.meta["seed"]) for run in runs]
        table[label] = {str(layer): {"cosine": [f[layer][0] for f in found],
                                     "ratio": [f[layer][1] for f in found]} for layer in found[0]}
    return table


def measure(result):
    """What is read off trained networks: angle to backpropagation, variance, M against J, costs."""
    angle, feedback = {}, {}
    for label, runs in result.runs.items():
        if label in ("bp", "readout_only"):
            continue
        for name, perturbed in ((label, None), (f"{label}, noise on", True)):
            if perturbed and not (runs[0].model.rule.perturbs and runs[0].model.rule.matrix):
                continue
            found = [gradients.update_angle(run, seed=run.meta["seed"], perturbed=perturbed)
                     for run in runs]
            angle[name] = {key: [f[key][0] for f in found] for key in found[0]}
    for label, runs in result.runs.items():
        if runs[0].model.rule.perturbs == "pair" and runs[0].model.rule.matrix:
            feedback |= _alignment(type(result)({label: runs}, result.task))
    variance = {}
    for run in result.runs["opzo"]:
        own = gradients.reference
        models = {"bp": own(run), "opzo": None, "dfa": own(run, "dfa"),
                  "node_perturbation, ZO": own(run, "node_perturbation", baseline=False),
                  "node_perturbation, two-point": own(run, "node_perturbation", points="two")}
        found = gradients.gradient_variance(run, models, seed=run.meta["seed"])
        for label, layers in found.items():
            for key, value in layers.items():
                variance.setdefault(label, {}).setdefault(key, []).append(
                    value / found["bp"][key])
    operations = {label: {name: float(np.mean([gradients.synaptic_operations(r)[name]
                                               for r in runs]))
                          for name in gradients.synaptic_operations(runs[0])}
                  for label, runs in result.runs.items()}
    cost = {label: {"ms_per_trial": float(np.mean([1e3 * r.meta["wall_s"] / r.meta["trials"]
                                                   for r in runs])),
                    "peak_memory_mb": max(r.meta["peak_memory_mb"] for r in runs)}
            for label, runs in result.runs.items()}
    return {"angle": angle, "variance_over_bp": variance, "alignment": feedback,
            "synaptic_operations": operations, "cost": cost}
