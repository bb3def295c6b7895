"""Excitation and inhibition: a recurrent network whose synapses keep their sign, and a free one.

Both have the same neurons, the same sparse connections and the same first weights, so that they
differ in one thing: whether learning may change the sign of a synapse. Of the network with Dale's
law all synapses of the excitatory population stay at 0 or above, those of the inhibitory at 0 or
below; the input's synapses are free in both. Only excitatory neurons project onto the readout.

Parameters: `task` with `task_options`; sizes `excitatory` and `inhibitory`; `p` of a synapse within
and between the populations; `weight`, the largest first weight of an excitatory one, and
`inhibition`, how much larger those of inhibitory ones are; `rules`; `seeds`, how many from
`first_seed` on; `epochs`; the drive `b`; settings of the rate engine, `batch` and `rate`.
"""

import matplotlib.pyplot as plt
import numpy as np

from bioopzo import plots, tasks
from bioopzo.model import Model
from bioopzo.network.table import Network
from bioopzo.studies import tables
from bioopzo.studies.comparison import numbers
from bioopzo.studies.quantities import with_units
from bioopzo.training.compare import compare

KINDS = ("Dale's law", "free")
#: The rule whose weights are drawn.
SHOWN = "opzo"
BINS = np.linspace(-1.5, 1.5, 61)


def network(task, parameters, dale):
    """The network on a `task`; with `dale` its synapses keep their signs."""
    p, sign = parameters, int(dale)
    positive, most = ("uniform", 0.0, p["weight"]), p["inhibition"] * p["weight"]
    negative = ("uniform", -most, 0.0)
    return (Network(inputs=task.n_in, readouts=task.n_out)
            .population("E", p["excitatory"], sign=sign)
            .population("I", p["inhibitory"], sign=-sign)
            .connect("input", "E").connect("input", "I")
            .connect("E", "E", p=p["p"], seed=1, autapses=False, weights=positive)
            .connect("E", "I", p=p["p"], seed=2, weights=positive)
            .connect("I", "E", p=p["p"], seed=3, weights=negative)
            .connect("I", "I", p=p["p"], seed=4, autapses=False, weights=negative)
            .connect("E", "readout", weights=("uniform", 0.0, 0.5)))


def compute(parameters, jobs, progress, saved):
    """The numbers of a study with these `parameters`, `jobs` runs at a time.

    `progress` says whether a bar is shown; `saved` is the folder of the saved runs.
    """
    p = parameters
    task = tasks.get(p["task"], **with_units(p["task_options"]))
    models = {f"{rule}, {kind}": Model(network(task, p, kind == KINDS[0]), rule=rule, b=p["b"])
              for rule in p["rules"] for kind in KINDS}
    result = compare(models, task, seeds=range(p["first_seed"], p["first_seed"] + p["seeds"]),
                     epochs=p["epochs"], jobs=jobs, progress=progress, engine="rate", out=saved,
                     settings={"activity": "spikes", "batch": p["batch"], "rate": p["rate"]})
    return {**numbers(result), "engine": "rate", "epochs": p["epochs"],
            "signs": {label: _wrong(runs) for label, runs in result.runs.items()},
            "weights": {label: _histograms(result.runs[label]) for label in result.runs
                        if label.startswith(f"{SHOWN},")}}


def _outgoing(run, population):
    """Weights of all synapses of a `population` at every evaluation: (evaluations, synapses)."""
    found = []
    for projection in run.model.network.out_of(population):
        if projection.kind.startswith("forward"):
            weights = run.arrays[f"snapshots/{projection.name}.w"]
            there = getattr(projection.connection, "mask", np.ones(projection.connection.shape))
            found.append(weights.reshape(len(weights), -1)[:, np.ravel(there).astype(bool)])
    return np.concatenate(found, axis=1)


def _wrong(runs):
    """Synapses whose sign is not their population's at an evaluation, the most of them, by seed."""
    counts = [[int((sign * _outgoing(run, name) < 0).sum(axis=1).max())
               for name, sign in (("E", 1), ("I", -1))] for run in runs]
    return {"wrong": [sum(count) for count in counts],
            "synapses": sum(_outgoing(runs[0], name).shape[1] for name in ("E", "I"))}


def _histograms(runs):
    """How many synapses have which weight, at the start and at the end, by population."""
    return {name: {when: np.sum([np.histogram(_outgoing(run, name)[k], BINS)[0] for run in runs],
                                axis=0) for when, k in (("start", 0), ("end", -1))}
            for name in ("E", "I")}


@plots.styled
def draw(content):
    """Learning curves, accuracies side by side, and weights of a study with this `content`."""
    fig = plt.figure(figsize=(plots.PAGE_CM / 2.54, 6.5 / 2.54), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.06)
    curves, pairs, weights = fig.subplots(1, 3)
    _curves(curves, content)
    _pairs(pairs, content)
    _weights(weights, content)
    for ax, word in zip((curves, pairs, weights), "ABC"):
        plots.letter(ax, word)
    return fig


def _curves(ax, content):
    ends = []
    for label, found in content["curves"].items():
        rule, kind = label.split(", ")
        if kind == KINDS[0]:
            line = plots.band(ax, found["trials"], 100 * np.array(found["accuracy"]), rule, ms=2.5,
                              within=(0, 100))
            ends.append((line, line.get_label()))
    plots.note(ax, f"{KINDS[0]}; mean, 95 % interval")
    plots.dress(ax, "Training trials", "Held-out accuracy (%)")
    ax.set(ylim=(0, 100), xlim=(0, found["trials"][-1]))
    plots.label_ends(ax, ends)


def _pairs(ax, content):
    scores = {row["label"]: 100 * np.array(row["scores"]) for row in content["rows"]}
    rules = list(dict.fromkeys(label.split(", ")[0] for label in scores))
    for place, rule in enumerate(rules):
        color, marker, _ = plots.style(rule)
        both = np.array([scores[f"{rule}, {kind}"] for kind in KINDS])
        for k, (values, face) in enumerate(zip(both, (color, "white"))):
            ax.plot(place + 0.3*k - 0.15 + plots.jitter(values, 0.1), values, ls="", marker=marker,
                    color=color, mfc=face, mew=0.8, clip_on=False)
    ax.set_xticks(range(len(rules)), [plots.style(rule)[2] for rule in rules], rotation=25,
                  ha="right", rotation_mode="anchor")
    plots.note(ax, "Filled: Dale's law; open: free")
    plots.dress(ax, "", "Accuracy at the end (%)")
    least = min(values.min() for values in scores.values())
    ax.set(ylim=(10 * np.floor(least / 10), 100), xlim=(-0.6, len(rules) - 0.4))


def _weights(ax, content):
    middles = (BINS[1:] + BINS[:-1]) / 2
    for name, color in (("E", "#D55E00"), ("I", "#0072B2")):
        for kind, options in ((KINDS[0], {"alpha": 0.35, "lw": 0}), (KINDS[1], {})):
            counts = np.array(content["weights"][f"{SHOWN}, {kind}"][name]["end"], float)
            share = counts / counts.sum()
            if kind == KINDS[0] and name == "I":  # silent synapses are on the side of their sign
                middle = len(share) // 2
                share[middle - 1] += share[middle]
                share[middle] = 0
            if kind == KINDS[0]:
                ax.fill_between(middles, share, step="mid", color=color, **options)
            else:
                ax.step(middles, share, where="mid", color=color, lw=0.9)
        ax.annotate(name, (0.9 if name == "E" else 0.1, 0.85), xycoords="axes fraction",
                    color=color, ha="center", fontsize=plots.NORMAL)
    ax.axvline(0, color=plots.PALE, lw=0.6, zorder=0)
    plots.note(ax, "Filled: Dale's law; line: free")
    plots.dress(ax, f"Weight at the end, {plots.style(SHOWN)[2]}", "Share of synapses")
    ax.set(xlim=(BINS[0], BINS[-1]), yscale="log")


def table(content, view=""):
    """The table of a study with this `content`; there is one `view`."""
    lines = ["| rule | network | held-out accuracy (%), mean ± sd | 95 % interval | seeds | "
             "synapses of the wrong sign |", "|---|---|---|---|---|---|"]
    for row in content["rows"]:
        rule, kind = row["label"].split(", ")
        scores, signs = 100 * np.array(row["scores"]), content["signs"][row["label"]]
        mean, half = plots.interval(scores[:, None])
        spread = f"{mean[0]:.1f}" + (f" ± {scores.std(ddof=1):.1f}" if half is not None else "")
        interval = tables.between(mean[0], None if half is None else half[0], 1, 100.0,
                                  len(scores))
        lines.append(f"| {rule} | {kind} | {spread} | {interval} | {tables.which(row['seeds'])} | "
                     f"{np.mean(signs['wrong']):.0f} of {signs['synapses']} |")
    return "\n".join(lines)
