"""The figures of the README, each made by one command: ``bioopzo results NAME``.

Every experiment writes ``NAME.json`` with its numbers, seeds and settings; the tables of the
README are made from these files and from nothing else.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from brian2.units import Hz

from . import event_experiments, rate_experiments, tasks
from .comparison import Comparison, compare, format_table
from .errors import InputError, unknown
from .model import Model
from .results import Run, write_atomically, write_json

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
    from .plots import figure, save

    fig, ax = figure(width=12.0, height=8.0)
    result.plot(ax, **options)
    save(fig, stem)


def _alignment(result, jobs, progress):
    """cos(M, J) and |M|/|J| per label, layer and seed."""
    from .measures import alignment

    table = {}
    for label, runs in result.runs.items():
        found = [alignment(run, seed=run.meta["seed"], jobs=jobs, progress=progress)
                 for run in runs]
        table[label] = {str(layer): {"cosine": [f[layer][0] for f in found],
                                     "ratio": [f[layer][1] for f in found]}
                        for layer in found[0]}
    return table


def markdown(content, view=""):
    """The table of one experiment as Markdown; `view` names one where a file holds several."""
    if view in ("costs", "rate"):
        return {"costs": _costs, "rate": _rate_speed}[view](content)
    if view == "trial_costs":
        return event_experiments.cost_table(content)
    if "simulated_against_real" in content:
        return event_experiments.table(content)
    if "spiking_speed" in content:
        return _speed(content)
    if "variance_over_bp" in content:
        return _gradients(content)
    if content.get("engine") == "rate":
        return _accuracies(content)
    if "alignment" in content:
        lines = ["| rule | layer | cos(M, J) | \\|M\\|/\\|J\\| | seeds |", "|---|---|---|---|---|"]
        for label, layers in content["alignment"].items():
            for layer, values in layers.items():
                lines.append(f"| {label} | {layer} | {_spread(values['cosine'], 3)} | "
                             f"{_spread(values['ratio'], 2)} | {len(values['cosine'])} |")
        return "\n".join(lines)
    accuracy = content["rows"][0]["measure"] == "test_accuracy"
    head = "held-out accuracy (%)" if accuracy else "held-out loss"
    lines = [f"| rule | {head}, mean ± sd | 95 % interval | seeds | untrained rates (Hz) |",
             "|---|---|---|---|---|"]
    rows = sorted(content["rows"], key=lambda r: r["mean"], reverse=accuracy)
    for row in rows:
        scale, digits = (100, 1) if accuracy else (1, 4)
        mean, half = scale * row["mean"], scale * row["interval95"]
        rates = ", ".join(f"{v:.0f}" for v in row["untrained_rates_hz"].values())
        lines.append(f"| {row['label']} | {_spread(row['scores'], digits, scale)} | "
                     f"{mean - half:.{digits}f} to {mean + half:.{digits}f} | "
                     f"{len(row['seeds'])} | {rates} |")
    return "\n".join(lines)


def _accuracies(content):
    """Accuracies of the rate engine: test set, spread over seeds, loss, activity."""
    one = len(content["rows"][0]["seeds"]) == 1
    columns = _feedback_columns(content)
    extra = ["published (%)"] * ("published" in content) + list(columns)
    heads = ["rule", f"test accuracy (%){'' if one else ', mean ± sd'}", "seeds",
             "firing rate (share of steps)", *extra]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in sorted(content["rows"], key=lambda r: -r["mean"]):
        scores = 100 * np.asarray(row["scores"])
        score = f"{scores[0]:.2f}" if one else _spread(scores, 2)
        share = ", ".join(f"{v/1000:.2f}" for v in row["rates_hz"].values())
        cells = [row["label"], score, str(len(scores)), share]
        if "published" in content:
            cells.append(f"{content['published'].get(row['label'], float('nan')):.2f}")
        cells += [_spread(values[row["label"]], 3) if row["label"] in values else ""
                  for values in columns.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _feedback_columns(content):
    """Further columns of a table of accuracies: head -> label -> values over seeds."""
    table, angle = content.get("alignment", {}), content.get("angle", {})
    layers = list(next(iter(table.values()), ()))
    columns = {f"cos to bp, layer {k}": {label: found[k] for label, found in angle.items()}
               for k in layers if angle}
    for part, head in (("cosine", "cos(M, J)"), ("ratio", "\\|M\\|/\\|J\\|")):
        if part == "cosine" or angle:
            columns.update({f"{head}, layer {k}": {label: found[k][part]
                                                   for label, found in table.items()}
                            for k in layers})
    return columns


def _gradients(content):
    """Angle to backpropagation, variance, feedback and costs of trained networks."""
    keys = ["forward_1.w", "forward_2.w"]
    heads = ["rule", *(f"cos to bp, layer {k}" for k in (1, 2)),
             *(f"variance / bp's, layer {k}" for k in (1, 2)),
             *(f"cos(M, J), layer {k}" for k in (1, 2)),
             *(f"\\|M\\|/\\|J\\|, layer {k}" for k in (1, 2))]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for label in dict.fromkeys([*content["angle"], *content["variance_over_bp"]]):
        angle, variance = content["angle"].get(label), content["variance_over_bp"].get(label)
        found = content["alignment"].get(label)
        cells = [label]
        cells += [_spread(angle[k], 3) if angle else "" for k in keys]
        cells += [f"{np.mean(variance[k]):.3g}" if variance else "" for k in keys]
        for part, digits in (("cosine", 3), ("ratio", 2)):
            cells += [_spread(found[k][part], digits) if found else "" for k in ("1", "2")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rate_speed(content):
    """The benchmark's figures of the rate engine."""
    lines = ["| training step, batch 128, T = 6, one thread | engine (ms) | compared with (ms) | "
             "ratio |", "|---|---|---|---|"]
    for rule in ("opzo", "bp"):
        found = content[f"rate_floor_{rule}"]
        lines.append(f"| 784-800-800-10, {rule}: its matrix products alone | "
                     f"{found['engine_ms']:.1f} | {found['floor_ms']:.1f} | {found['share']:.2f} |")
    for network, shown in (("fc", "784-800-800-10"), ("conv", "28x28-32C3-AP2-64C3-AP2-10")):
        for rule in ("opzo", "bp"):
            found = content[f"rate_torch_{network}_{rule}"]
            lines.append(f"| {shown}, {rule}: PyTorch {found['version']} | "
                         f"{found['engine_ms']:.1f} | {found['torch_ms']:.1f} | "
                         f"{found['ratio']:.2f} |")
    lines += ["", "| order of execution (opzo) | T | ms a step | memory (MB) |",
              "|---|---|---|---|"]
    lines += [f"| {row['order']} | {row['T']} | {row['ms']:.0f} | {row['MB']:.0f} |"
              for row in content["rate_orders"]]
    return "\n".join(lines)


def _costs(content):
    """Synaptic operations, time and memory of a trial, by rule."""
    operations, cost = content["synaptic_operations"], content["cost"]
    layers = list(next(iter(operations.values())))
    heads = ["rule", *(f"synaptic operations a trial, {layer.replace('_', ' ')} (thousands)"
                       for layer in layers), "ms a training trial (wall)"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for label, found in operations.items():
        lines.append("| " + " | ".join([label, *(f"{found[layer]/1e3:.0f}" for layer in layers),
                                        f"{cost[label]['ms_per_trial']:.2f}"]) + " |")
    return "\n".join(lines)


def _speed(content):
    """The table of the benchmark's figures."""
    speed, edit = content["spiking_speed"], content["edit_latency"]
    return "\n".join([
        "| CPU time of one thread, learning on | ms a trial |", "|---|---|",
        f"| C, dense updates | {speed['c_ms']:.3f} |",
        f"| spiking engine, {speed['engine_over_c']:.2f} of C (median of "
        f"{len(speed['engine_over_c_rounds'])} rounds) | {speed['engine_ms']:.3f} |",
        f"| the engine with the start of a chunk | {speed['engine_with_start_ms']:.3f} |",
        f"| Brian2, one `run()` a trial | {speed['naive_ms']:.0f} |",
        f"| *edited line to a 1,000-trial curve (wall)* | *{edit['seconds']:.1f} s* |"])


def _spread(values, digits, scale=1):
    values = scale * np.asarray(values, dtype=float)
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def write_tables(folder, readme):
    """Write each table between its markers in the README, from the data files in `folder`."""
    path = Path(readme)
    text = path.read_text()
    for name, view in re.findall(r"<!-- table: (\w+)(?::(\w+))? -->", text):
        source = Path(folder) / f"{name}.json"
        if not source.is_file():
            raise InputError(f"{readme} has a table {name!r}, but {source} is missing; make it "
                             f"with: bioopzo results {name} --out {folder}")
        mark = f"<!-- table: {name}{':' * bool(view)}{view} -->\n"
        start = text.index(mark) + len(mark)
        table = markdown(json.loads(source.read_text()), view)
        text = text[:start] + table + "\n" + text[text.index("<!-- end -->", start):]
    write_atomically(path, lambda f: f.write(text.encode()))
