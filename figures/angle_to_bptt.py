"""How near is each rule's update to the gradient through time, in layers and with recurrence?

The cosine between a rule's change of the weights and the gradient of the trial's loss through time
(`bptt`: the rate engine differentiates its own program of the trial, with psi for the derivative of
a spike) on the same trials, weights and spikes, over training. A, B: a network of two hidden layers
on the digits, into the lower and the upper layer. C, D: a recurrent network of one hidden layer on
temporal patterns, from the input and from the layer itself. A perturbation is silent where there is
a feedback matrix; where there is none, it is on in the rule's trials and off in those of the
gradient. M starts at zero, so OPZO's curves begin with the second point.

The gradient passes what a spike resets and is not dampened.

Networks learn in the spiking engine, one trial at a time, with the rates of `bioopzo tune` in
layers, and those that follow from the trials in the recurrent network (which has to be quiet: b =
0). Their snapshots are measured in the rate engine with ``activity="spikes"``. Lines: mean over
seeds; bands: 95 % t-interval. Source: docs/design.md, section 2 (backpropagation through time); the
angle is that of Lillicrap et al. 2016.
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
    p = parameters
    return {"seeds": list(range(p["seeds"])), "networks": {
        name: _network(network, p, jobs, progress) for name, network in p["networks"].items()}}


def _network(network, p, jobs, progress):
    """The cosines of every rule in one network, by projection."""
    task = bz.tasks.get(network["task"])
    sizes = [task.n_in, *network["hidden"], task.n_out]
    models = {rule: bz.Model(sizes, rule=rule, recurrent=network["recurrent"], b=network["b"])
              for rule in p["rules"]}
    trained = bz.compare(models, task, range(p["seeds"]), p["trials"], jobs=jobs,
                         evaluations=p["evaluations"], progress=progress).runs
    points = list(range(p["evaluations"] + 1))
    todo = [(run, point) for runs in trained.values() for run in runs for point in points]
    with ThreadPoolExecutor(jobs) as pool:
        found = list(tqdm(pool.map(lambda pair: _measured(*pair, network, p), todo),
                          total=len(todo), disable=not progress, desc="cosines"))
    found = np.array(found, dtype=object).reshape(len(trained), p["seeds"], len(points), -1)
    return {"trials": next(iter(trained.values()))[0].arrays["curve/trials"],
            "accuracy": {rule: [run.test_accuracy for run in runs]
                         for rule, runs in trained.items()},
            "rules": {rule: {name: values[:, :, k].tolist()
                             for k, name in enumerate(network["onto"])}
                      for rule, values in zip(trained, found)}}


def _measured(run, point, network, p):
    """Cosine of the update of each projection with the gradient's; none where nothing changes."""
    run, rule = run.at(point), run.model.rule
    if rule.matrix and not run.final[f"feedback_1.{rule.matrix}"].any():
        return [None] * len(network["onto"])
    angle = gradients.update_angle(run, against="bptt", batches=p["batches"], batch=p["batch"],
                                   seed=run.meta["seed"])
    return [angle[f"{name}.w"][0] for name in network["onto"]]


@plots.styled
def draw(data):
    fig = plt.figure(figsize=(plots.PAGE_CM / 2.54, 11 / 2.54), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.06, h_pad=0.08)
    networks = data["networks"]
    axes = fig.subplots(len(networks), 2, sharey=True)
    words = iter("ABCDEF")
    for k, (name, network) in enumerate(networks.items()):
        for ax, onto in zip(axes[k], next(iter(network["rules"].values()))):
            ends = []
            for level in (0, 1):
                ax.axhline(level, color=plots.PALE, lw=0.6, zorder=1)
            for rule, found in network["rules"].items():
                line = plots.band(ax, network["trials"], np.array(found[onto], float), rule,
                                  within=(-1, 1))
                ends.append((line, line.get_label()))
            meaning = f"; mean, 95 % interval, {len(data['seeds'])} seeds" * (ax is axes[0, 0])
            plots.note(ax, f"{name}: {onto.replace('_', ' ')}{meaning}")
            plots.dress(ax, "Training trials" if k == len(networks) - 1 else "",
                        "cos(update, gradient)" if ax is axes[k, 0] else "")
            plots.letter(ax, next(words))
            ax.set_xlim(0, network["trials"][-1])
            ax.set_ylim(-0.25, 1)
            plots.label_ends(ax, ends)
    return fig


if __name__ == "__main__":
    figures.main(__file__)
