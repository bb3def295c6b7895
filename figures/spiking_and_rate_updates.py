"""One text, two engines: the mean update of the spiking engine against that of the rate engine.

A network learns the digits for a while; from then on its weights stay, and each rule's change of
the forward weights is averaged over trials with a few images, shown again and again: in the spiking
engine (Brian2, one trial after the other) and in the rate engine (mini-batches), with the same
text, weights and feedback. The rate engine either draws spikes, as Brian2 does, or sends every
neuron's chance to spike (rates, the mean-field approximation).

A, changes of single weights into hidden layer 2, one seed, one point a weight, each engine's in
units of their root mean square, since directions are compared and not lengths; dashed: equality. B,
cosine between the two engines by the number of trials averaged in the spiking engine, for every
layer: against drawn spikes it goes to 1, since the engines do the same; against rates it stays
below, because a mean of products is not the product of means. C, that gap closes as the escape
noise grows wide (Delta), where hazard, psi and softmax are linear over the fluctuations; every
point is a network of its own with that Delta, trained like the first.

Bands (of the curves against rates) and bars: 95 % t-interval over seeds (networks and noise).
Source: docs/design.md; the step for step comparison with the same random numbers is
tests/test_equivalence.py.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator

import bioopzo as bz
from bioopzo import plots
from bioopzo.engines.rate.feed import presented
from bioopzo.engines.rate.settings import open_engine, settings
from bioopzo.measures.angles import cosine
from bioopzo.measures.spiking import mean_update
from bioopzo.studies import figures
from bioopzo.training.start import initial_weights

#: Feedback synapses that learn hardly move while updates are averaged.
STILL = {"opzo": {"mu": 1e-9}}


def compute(parameters, jobs, progress):
    p, task = parameters, bz.tasks.digits()
    few = task.replace(splits={**task.splits, "train": task.splits["train"][:p["images"]]})
    data = {"seeds": p["seeds"], "trials": list(np.cumsum(p["blocks"])), "cosine": {},
            "scatter": {}, "Delta": {"x": p["Deltas"], "cosine": []}}
    for seed in range(p["seeds"]):
        state = _trained(task, p, seed)
        for rule in p["rules"]:
            sizes = [task.n_in, *task.hidden, task.n_out]
            model = bz.Model(sizes, rule=rule, **STILL.get(rule, {}))
            start = _state(model.for_task(task), state, seed)
            spiking = _spiking(model, few, start, p, seed)
            for kind in ("rates", "spikes"):
                rate = _rate(model, few, start, kind, p, seed)
                found = data["cosine"].setdefault(rule, {}).setdefault(kind, [])
                found.append([[cosine(now[key], rate[key]) for now in spiking]
                              for key in sorted(rate)])
                if seed == 0 and kind == "rates":
                    key = f"forward_{p['layer']}.w"
                    data["scatter"][rule] = [_short(rate[key]), _short(spiking[-1][key])]
        data["Delta"]["cosine"].append([_gap(task, few, p, seed, width) for width in p["Deltas"]])
    return data


def _trained(task, p, seed, **regime):
    """Weights and feedback of a network after some epochs of OPZO in the rate engine."""
    model = bz.Model([task.n_in, *task.hidden, task.n_out], rule="opzo", **regime)
    run = bz.train(model, task, epochs=p["epochs"], seed=seed, engine="rate", activity="spikes",
                   rate=p["rate"], batch=p["batch"], evaluations=1, progress=False)
    return run.final


def _state(model, state, seed):
    """What a rule starts from: forward weights and M of the trained network, its own random B."""
    own = initial_weights(model, np.random.default_rng(seed))
    return {**own, **{key: np.ravel(value) for key, value in state.items()
                      if key in own or key.endswith(".M")}}


def _spiking(model, task, state, p, seed):
    """Updates a trial after every block of trials, in the spiking engine."""
    total, trials, found = {}, 0, []
    for k, block in enumerate(p["blocks"]):
        change = mean_update(model, task, state, block, 1000 * seed + k,
                             backend=None if p["compiled"] else "numpy")
        trials += block
        for key, value in change.items():
            total[key] = total.get(key, 0) + value * block
        found.append({key: value / trials for key, value in total.items()})
    return found


def _rate(model, task, state, activity, p, seed):
    """The update a trial in the rate engine, every image `repeats` times."""
    chosen = settings(optimizer="sgd", activity=activity, precision="double")
    engine = open_engine(model.for_task(task), task, chosen, seed)
    engine.put(state)
    inputs, targets = presented(task)
    total = {}
    for _ in range(p["repeats"] // 10):
        part = np.repeat(task.splits["train"], 10)
        changes, _ = engine.changes(inputs[part], targets[part])
        for key, value in changes.items():
            if key.endswith(".w"):
                total[key] = total.get(key, 0) + np.ravel(value) / (p["repeats"] // 10)
    return total


def _gap(task, few, p, seed, width):
    """Cosine of the rate engine's own two kinds of activity for bp, by layer, at one Delta."""
    state = _trained(task, p, seed, Delta=width)
    model = bz.Model([task.n_in, *task.hidden, task.n_out], rule="bp", Delta=width)
    start = _state(model.for_task(task), state, seed)
    rates, spikes = (_rate(model, few, start, kind, p, seed) for kind in ("rates", "spikes"))
    return [cosine(rates[key], spikes[key]) for key in sorted(rates)]


def _short(values):
    return [float(f"{value:.4g}") for value in np.ravel(values)]


@plots.styled
def draw(data):
    fig = plt.figure(figsize=(plots.PAGE_CM / 2.54, 11.5 / 2.54), layout="constrained")
    fig.get_layout_engine().set(wspace=0.04, hspace=0.05)
    grid = fig.add_gridspec(2, 12)
    count = len(data["scatter"])
    scatter = [fig.add_subplot(grid[0, 12 // count * k:12 // count * (k + 1)])
               for k in range(count)]
    for ax, rule in zip(scatter, data["scatter"]):
        _scatter(ax, rule, *np.array(data["scatter"][rule]))
    plots.dress(scatter[0], "", "Spiking engine:\nchange (r.m.s.)")
    plots.dress(scatter[len(scatter) // 2], "Rate engine (rates): change (r.m.s.)", "")
    layers = ("hidden 1", "hidden 2", "readout")
    lines = [fig.add_subplot(grid[1, 3 * k:3 * k + 3]) for k in range(3)]
    for layer, ax in enumerate(lines):
        _lines(ax, data, layer)
        plots.note(ax, f"into {layers[layer]}")
    plots.dress(lines[0], "", "Cosine of the two engines")
    plots.dress(lines[1], "Trials averaged in the spiking engine", "")
    _width(fig.add_subplot(grid[1, 9:]), data, layers)
    _legend(fig, data)
    for ax, word in zip((scatter[0], lines[0], fig.axes[-1]), "ABC"):
        plots.letter(ax, word)
    return fig


def _scatter(ax, rule, rate, spiking):
    colour, _, name = plots.style(rule)
    angle = cosine(rate, spiking)
    rate, spiking = (values / np.sqrt(np.mean(values**2)) for values in (rate, spiking))
    ax.plot(rate, spiking, ls="", marker=".", ms=2.5, color=colour, alpha=0.4, mew=0,
            rasterized=True)
    reach = 1.05 * max(np.abs(rate).max(), np.abs(spiking).max())
    ax.plot([-reach, reach], [-reach, reach], color=plots.GREY, lw=0.8, ls=(0, (3, 2)), zorder=0)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    plots.note(ax, f"{name}: cosine {angle:.2f}", color=colour)
    plots.dress(ax, "", "")


def _lines(ax, data, layer):
    for rule in data["scatter"]:
        for kind, look in (("spikes", {"ls": (0, (3, 1.5))}), ("rates", {})):
            values = np.array(data["cosine"][rule][kind])[:, layer]
            # Beside the bands of the lower curves those of the upper ones would be one smear.
            shown = values if kind == "rates" else values.mean(axis=0, keepdims=True)
            plots.band(ax, data["trials"], shown, rule, within=(-1, 1), clip_on=True, **look)
    ax.axhline(1, color=plots.PALE, lw=0.8, zorder=1)
    ax.set_xscale("log")
    ax.set_ylim(0, 1.05)
    trials = data["trials"]
    ax.xaxis.set_major_locator(FixedLocator(trials))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{x}" if k % 2 == (len(trials) - 1) % 2 else "" for k, x in
                        enumerate(trials)])
    if layer:
        ax.set_yticklabels([])
    plots.dress(ax, "", "")


def _width(ax, data, layers):
    values = np.array(data["Delta"]["cosine"])
    for layer, name in enumerate(layers):
        mean, half = plots.interval(values[:, :, layer])
        low, high = (np.clip(mean + sign * half, -1, 1) for sign in (-1, 1))
        places = np.array(data["Delta"]["x"]) * (0.94, 1, 1.06)[layer]  # bars beside each other
        look = plots.layer_marks(layer + 1) if layer < 2 else {"color": plots.GREY}
        ax.errorbar(places, mean, yerr=[mean - low, high - mean], marker="oos"[layer],
                    capsize=1.5, elinewidth=0.8, label=name, ls="-", ms=3.5, lw=0.8, **look)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(data["Delta"]["x"]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{x:g}" for x in data["Delta"]["x"]])
    ax.set_ylim(0, 1.05)
    ax.axhline(1, color=plots.PALE, lw=0.8, zorder=1)
    ax.legend(loc="lower right", borderaxespad=0.1)
    plots.dress(ax, r"Width $\Delta$ of the noise", "")
    plots.note(ax, "BP: rates against spikes")


def _legend(fig, data):
    handles = [plt.Line2D([], [], color=plots.style(rule)[0], marker=plots.style(rule)[1])
               for rule in data["scatter"]]
    handles += [plt.Line2D([], [], color=plots.INK, ls=ls) for ls in ((0, (3, 1.5)), "-")]
    names = [plots.style(rule)[2] for rule in data["scatter"]]
    names += ["against drawn spikes", "against rates"]
    fig.legend(handles, names, loc="outside lower left", ncols=5, handlelength=2.4)


if __name__ == "__main__":
    figures.main(__file__)
