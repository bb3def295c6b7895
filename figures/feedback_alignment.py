"""Does the feedback find the Jacobian, and the update the direction of backpropagation?

A, B: cosine between the feedback matrix of a rule (M learned, B fixed or learned) and the expected
Jacobian J = E[d readout / d spikes sent], for the lower and the upper hidden layer. J is the
regression of the readout's deviation on the perturbation that reaches it, over held perturbations
of the frozen network, free of the noise of that estimate. C, D: cosine between the update of a rule
and that of backpropagation on the same trials and the same spikes (perturbation silent where
there is a feedback matrix), the mean over mini-batches. Rules without a feedback matrix appear
here only; the control that teaches no hidden layer has no update to compare. M starts at zero, so
OPZO's curves start with the first point after the start.

Networks learn the digits in the spiking engine, one trial at a time, as in `learning_dynamics`;
their snapshots are measured in the rate engine with ``activity="spikes"``, the same text on
mini-batches. Lines: mean over seeds; bands: 95 % t-interval.
Source: Xiao et al. 2024 (OPZO), section 5.2.
"""

from concurrent.futures import ThreadPoolExecutor

import matplotlib.pyplot as plt
import numpy as np
from tqdm.auto import tqdm

import bioopzo as bz
from bioopzo import plots
from bioopzo.measures import rate as gradients
from bioopzo.studies import figures


def compute(parameters, jobs, progress):
    task = bz.tasks.digits()
    seeds = list(range(parameters["seeds"]))
    trained = bz.compare(parameters["rules"], task, seeds, parameters["trials"], jobs=jobs,
                         evaluations=parameters["evaluations"], progress=progress).runs
    points = parameters["points"]
    todo = [(run, point) for runs in trained.values() for run in runs for point in points]
    with ThreadPoolExecutor(jobs) as pool:
        found = list(tqdm(pool.map(lambda pair: _measured(*pair, parameters), todo),
                          total=len(todo), disable=not progress, desc="cosines"))
    found = np.array(found, dtype=object).reshape(len(trained), len(seeds), len(points), -1)
    depth = trained[parameters["rules"][0]][0].model.depth
    return {
        "task": task.name, "sizes": [task.n_in, *task.hidden, task.n_out], "seeds": seeds,
        "trials": trained[parameters["rules"][0]][0].arrays["curve/trials"][points],
        "rules": {rule: {kind: {f"hidden_{k + 1}": values[:, :, depth * n + k].tolist()
                                for k in range(depth)}
                         for n, kind in enumerate(("feedback", "update"))}
                  for rule, values in zip(trained, found)},
        "measured_on": {"jacobian_trials": parameters["jacobian_batches"] * parameters["batch"],
                        "update_trials": parameters["update_batches"] * parameters["batch"]},
    }


def _measured(run, point, parameters):
    """cos(M, J) of every hidden layer, then cos(update, bp's); None where there is none."""
    run, rule = run.at(point), run.model.rule
    layers = range(1, run.model.depth + 1)
    given = {"batch": parameters["batch"], "seed": run.meta["seed"]}
    silent = rule.matrix and not run.final[f"feedback_1.{rule.matrix}"].any()
    feedback, update = [None] * len(layers), [None] * len(layers)
    if rule.matrix and not silent:
        aligned = gradients.alignment(run, parameters["jacobian_batches"], **given)
        feedback = [aligned[k][0] for k in layers]
    if not silent:
        angle = gradients.update_angle(run, batches=parameters["update_batches"], **given)
        update = [angle[f"forward_{k}.w"][0] for k in layers]
    return feedback + update


@plots.styled
def draw(data):
    layers = list(next(iter(data["rules"].values()))["update"])
    fig = plt.figure(figsize=(plots.PAGE_CM / 2.54, 11 / 2.54), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.06, h_pad=0.08)
    axes = fig.subplots(2, len(layers), sharex=True, sharey=True)
    words = iter("ABCDEF")
    for row, (kind, label) in enumerate((("feedback", r"cos(feedback, $J$)"),
                                         ("update", "cos(update, update of BP)"))):
        for ax, layer in zip(axes[row], layers):
            ends = []
            for level in (0, 1):
                ax.axhline(level, color=plots.PALE, lw=0.6, zorder=1)
            for rule, found in data["rules"].items():
                values = np.array(found[kind][layer], dtype=float)
                if np.isfinite(values).any():
                    line = plots.band(ax, data["trials"], values, rule, within=(-1, 1))
                    ends.append((line, line.get_label()))
            meaning = f"; mean, 95 % interval, {len(data['seeds'])} seeds" * (ax is axes[0, 0])
            plots.note(ax, layer.replace("_", " ") + meaning)
            plots.dress(ax, "Training trials" if row else "", label if ax is axes[row, 0] else "")
            plots.letter(ax, next(words))
            ax.set_xlim(0, data["trials"][-1])
            ax.set_ylim(-0.25, 1)
            plots.label_ends(ax, ends)
            if kind == "feedback":
                ax.annotate("OPZO: $M=0$ at the start,\nwhich has no direction", (0, -0.22),
                            xytext=(4, 0), textcoords="offset points", fontsize=plots.SMALL,
                            color=plots.style("opzo")[0], va="bottom")
    return fig


if __name__ == "__main__":
    figures.main(__file__)
