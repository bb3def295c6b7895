"""Variance of the gradient estimate by rule and layer, relative to that of backpropagation.

The variance over mini-batches of the update that a rule asks for, averaged over the weights of a
layer, divided by that of backpropagation in the same frozen network: the one that the rule itself
trained on the digits, with the feedback and the baseline it has learned. Small points are seeds
(networks), large ones their geometric means, bars 95 % t-intervals (of the logarithm).
The dashed line is backpropagation. The estimates are compared as they are, per unit of learning
rate, as the paper does: feedback that is drawn (DFA, e-prop) has a scale of its own (standard
deviation 0.5), so part of its ratio is length; in OPZO and node perturbation it is noise.

Trained in the spiking engine, one trial at a time; measured in the rate engine with
``activity="spikes"``, the same text on mini-batches.
Source: Xiao et al. 2024 (OPZO), section 5.2.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm.auto import tqdm

import bioopzo as bz
from bioopzo import plots
from bioopzo.measures import rate as gradients
from bioopzo.studies import figures

#: label -> options; the label starts with the rule.
ESTIMATES = {
    "opzo": {}, "dfa": {}, "dkp": {}, "eprop": {}, "reinforce": {}, "node_perturbation": {},
    "node_perturbation, two-point": {"points": "two"},
}


def compute(parameters, jobs, progress):
    task = bz.tasks.digits()
    sizes, seeds = [task.n_in, *task.hidden, task.n_out], list(range(parameters["seeds"]))
    models = {label: bz.Model(sizes, rule=label.split(",")[0], **ESTIMATES[label])
              for label in parameters["estimates"]}
    trained = bz.compare(models, task, seeds, parameters["trials"], jobs=jobs, evaluations=1,
                         progress=progress).runs

    def variances(run):
        return gradients.gradient_variance(
            run, {"own": None, "bp": gradients.reference(run)}, parameters["batches"],
            batch=parameters["batch"], seed=run.meta["seed"])

    todo = [run for runs in trained.values() for run in runs]
    with ThreadPoolExecutor(jobs) as pool:
        found = iter(tqdm(pool.map(variances, todo), total=len(todo), disable=not progress,
                          desc="variances"))
    found = {label: [next(found) for _ in runs] for label, runs in trained.items()}
    layers = {f"hidden_{k}": f"forward_{k}.w" for k in range(1, len(sizes) - 1)}
    return {
        "task": task.name, "sizes": sizes, "seeds": seeds,
        "held_out_accuracy": {k: [run.test_accuracy for run in v] for k, v in trained.items()},
        "variance": {whose: {label: {layer: [f[whose][key] for f in of]
                                     for layer, key in layers.items()}
                             for label, of in found.items()} for whose in ("own", "bp")},
    }


@plots.styled
def draw(data):
    ratio = {label: {layer: np.divide(own, data["variance"]["bp"][label][layer])
                     for layer, own in of.items()}
             for label, of in data["variance"]["own"].items()}
    fig, ax = plots.figure(width=12, height=8)
    ax.axvline(1, color=plots.INK, lw=0.8, ls=(0, (3, 2)), zorder=1)
    labels = sorted(ratio, reverse=True, key=lambda k: np.mean(
        [np.log(v).mean() for v in ratio[k].values()]))
    for row, label in enumerate(labels):
        color = plots.style(label.split(",")[0])[0]
        for k, values in enumerate(ratio[label].values()):
            y = row + (0.2, -0.2)[k % 2]
            mean, half = plots.interval(np.log10(values)[:, None])
            middle, low, high = 10**mean, 10**(mean - half), 10**(mean + half)
            ax.plot(values, y + 0.11 + plots.jitter(values, 0.05), ls="", marker=".", color=color,
                    ms=3, mew=0, alpha=0.7)
            ax.errorbar(middle, [y - 0.05], xerr=[middle - low, high - middle], capsize=2, ms=4,
                        elinewidth=0.9, marker="o", **plots.layer_marks(k + 1, color))
    ax.set_xscale("log")
    ax.set_xlim(left=min(0.1, ax.get_xlim()[0]))
    ax.set_yticks(range(len(labels)), [_name(label) for label in labels])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.6, len(labels) - 0.4)
    plots.dress(ax, "Variance of the update, relative to that of BP", "")
    layers = list(ratio[labels[0]])
    plots.layer_key(ax, range(1, len(layers) + 1), loc="lower left")
    plots.note(ax, f"small points: networks ({len(data['seeds'])} seeds); geometric mean, "
               "95 % interval")
    return fig


def _name(label):
    rule = label.split(",")[0]
    return label.replace(rule, plots.style(rule)[2])


if __name__ == "__main__":
    figures.main(__file__)
