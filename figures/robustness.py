"""Robustness: a network trained without noise is put on noisy hardware and fine-tuned there.

The papers' on-chip scenario. A network with deterministic neurons learns the digits by
backpropagation, as on a common device. Then the hardware differs: noise on the membrane before the
threshold, new in every step (the papers' test, there on ImageNet); weights that were written with
an error of their own; or hidden neurons that never fire. Each rule then fine-tunes the same network
for a few epochs under that fault, which also acts in the held-out trials.

Upper row: held-out accuracy of the intact network (line), under the fault (dotted), and after
fine-tuning by each rule (points: seeds; bars: mean and 95 % t-interval). Lower row: the same while
the network is fine-tuned (bands: 95 % t-interval over seeds). A seed draws the trained network, the
fault and all noise. OPZO brings a perturbation of its own (after the neuron, antithetic) beside the
fault's noise, and its feedback synapses start at zero; DFA and DKP start from random feedback. The
readout alone is the control. Rates of every rule and fault come from the validation split: see
parameters.py. Rate engine, papers' discrete setting.

Source: Xiao et al. 2024 (OPZO), section 5.4, table 4 and appendix C.2.2.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm.auto import tqdm

import bioopzo as bz
from bioopzo import plots
from bioopzo.engines.rate.feed import presented
from bioopzo.engines.rate.settings import learning_rate, open_engine, settings
from bioopzo.studies import figures
from bioopzo.studies.discrete import discrete
from bioopzo.studies.quantities import with_units
from bioopzo.training.start import initial_weights

#: Fault -> what it is called; "membrane" is part of the text, the others of the weights.
FAULTS = {"membrane": "Membrane noise, s.d. {:g}", "weights": "Weights off by {:.0%} (s.d.)",
          "silent": "{:.0%} of hidden neurons silent"}


def compute(parameters, jobs, progress):
    p = parameters
    jobs_to_do = [(fault, seed) for fault in p["faults"] for seed in range(p["seeds"])]
    with ThreadPoolExecutor(jobs) as pool:
        done = list(tqdm(pool.map(lambda job: _experiment(p, *job), jobs_to_do), desc="robustness",
                         total=len(jobs_to_do), disable=not progress, leave=False))
    data = {"seeds": p["seeds"], "epochs": p["epochs"], "size": p["faults"], "faults": {}}
    for (fault, _), found in zip(jobs_to_do, done):
        entry = data["faults"].setdefault(fault, {"intact": [], "samples": found["samples"],
                                                  "rules": {}})
        entry["intact"].append(found["intact"])
        for rule, curve in found["curves"].items():
            entry["rules"].setdefault(rule, []).append(curve)
    return data


def _experiment(p, fault, seed, split="test", rules=None):
    """One network, one fault: accuracy before, and under every rule from the fault on."""
    task = discrete("digits")
    sizes = [task.n_in, *p["hidden"], task.n_out]
    train = settings(activity="deterministic", batch=p["batch"], rate=p["training_rate"])
    intact = bz.train(bz.Model(sizes, rule="bp"), task, epochs=p["training_epochs"], seed=seed,
                      split=split, engine="rate", progress=False, evaluations=1,
                      activity=train.activity, batch=train.batch, rate=p["training_rate"])
    rng = np.random.default_rng([seed, 1])
    faulty, dead = _damage(intact, fault, p["faults"][fault], rng)
    found = {"intact": 100 * intact.test_accuracy, "curves": {}}
    for rule, own in (rules or p["rules"][fault]).items():
        found["samples"], found["curves"][rule] = _fine_tune(
            task, sizes, rule, own, faulty, dead, fault, p, seed, split)
    return found


def _damage(run, fault, size, rng):
    """The forward weights on the hardware, and the neurons of each layer that never fire."""
    weights = {k: np.array(v) for k, v in run.final.items() if k.startswith("forward")}
    if fault == "weights":
        weights = {k: w * (1 + size * rng.standard_normal(w.shape)) for k, w in weights.items()}
    dead = {}
    if fault == "silent":
        for layer, count in enumerate(run.meta["sizes"][1:-1], 1):
            dead[layer] = rng.choice(count, round(size * count), replace=False)
    return weights, dead


def _fine_tune(task, sizes, rule, own, weights, dead, fault, p, seed, split):
    """Samples seen, and held-out accuracy (%) at these points, under the fault."""
    options = with_units({name: value for name, value in own.items() if name != "rate"})
    model = bz.Model(sizes, rule=rule, neuron="deterministic", **options)
    noise = p["faults"][fault] if fault == "membrane" else 0.0
    if noise:
        model = model.edit(S=f"S = int(u + {noise!r}*randn() > theta)")
    model = model.for_task(task)
    chosen = settings(activity="deterministic", batch=p["batch"], rate=own["rate"])
    engine = open_engine(model, task, chosen, seed)
    start = {**initial_weights(engine.model, np.random.default_rng([seed, 2])), **weights}
    engine.put(start)
    _silence(engine, dead)
    inputs, targets = presented(task)
    held_out = task.splits[split]
    train = task.splits["train"] if split == "validation" else np.sort(
        np.concatenate([task.splits["train"], task.splits["validation"]]))
    rng = np.random.default_rng([seed, 3])
    batches = len(train) // p["batch"]
    marks = np.round(np.linspace(0, p["epochs"] * batches, p["evaluations"] + 1)).astype(int)

    def accuracy():
        """Under fresh noise at every reading."""
        hits = [engine.evaluate(inputs[held_out], targets[held_out], reading)[0].argmax(axis=1)
                == task.labels[held_out] for reading in range(p["readings"] if noise else 1)]
        return 100 * float(np.mean(hits))

    curve = [accuracy()]
    for number in range(p["epochs"] * batches):
        if number % batches == 0:
            order = rng.permutation(train)
        part = order[number % batches * p["batch"]:][:p["batch"]]
        share = number / (p["epochs"] * batches)
        engine.train(inputs[None, part], targets[None, part],
                     rates=[learning_rate(engine.optimizer, chosen.falls, share)])
        _silence(engine, dead)
        if number + 1 in marks:
            curve.append(accuracy())
    return (marks * p["batch"]).tolist(), curve


def _silence(engine, dead):
    """Neurons that never fire: what they would send reaches nobody."""
    for layer, which in dead.items():
        weights = np.array(engine.weights[f"forward_{layer + 1}.w"])
        weights[which] = 0
        engine.put({f"forward_{layer + 1}.w": weights})


@plots.styled
def draw(data):
    faults = list(data["faults"])
    fig, axes = plots.figure(plots.PAGE_CM, 11.5, nrows=2, ncols=len(faults), sharey="row",
                             gridspec_kw={"height_ratios": [1.1, 1]})
    fig.get_layout_engine().set(wspace=0.03, hspace=0.06)
    ends = []
    for column, fault in enumerate(faults):
        _final(axes[0, column], data["faults"][fault])
        plots.note(axes[0, column], FAULTS[fault].format(data["size"][fault]).replace("%", " %"),
                   color=plots.INK, pad=14)
        ends.append(_curves(axes[1, column], data["faults"][fault]))
        plots.letter(axes[0, column], "ABC"[column])
        plots.letter(axes[1, column], "DEF"[column])
    plots.dress(axes[1, 0], "", "Held-out accuracy (%)")
    every = [x for found in data["faults"].values() for curves in found["rules"].values()
             for x in np.mean(curves, axis=0)]
    axes[1, 0].set_ylim(max(0, min(every) - 4), 100)
    for ax, own in zip(axes[1], ends):  # where each ends: names that the limits may move
        plots.label_ends(ax, own)
    fig.supxlabel(f"Upper: points, {data['seeds']} seeds; bars, mean and 95 % t-interval; solid "
                  "line, intact network; dotted, right after the fault.\nLower: means during "
                  f"{data['epochs']} epochs of fine-tuning, bands, 95 % t-intervals.",
                  fontsize=plots.SMALL, color=plots.GREY, x=0.01, ha="left")
    return fig


def _references(ax, found, along):
    """The intact network, and the network right after the fault (the mean over seeds)."""
    start = [curve[0] for curve in next(iter(found["rules"].values()))]
    line = ax.axvline if along == "x" else ax.axhline
    line(np.mean(found["intact"]), color=plots.GREY, lw=1, zorder=1)
    line(np.mean(start), color=plots.GREY, lw=1, ls=(0, (1, 1.5)), zorder=1)
    return np.mean(found["intact"]), np.mean(start)


def _final(ax, found):
    rules = [rule for rule in plots.RULE_STYLE if rule in found["rules"]][::-1]
    for row, rule in enumerate(rules):
        colour, marker, _ = plots.style(rule)
        values = np.array(found["rules"][rule])[:, -1]
        plots.dots(ax, values, row, colour, marker, within=(0, 100))
    for place, word in zip(_references(ax, found, "x"), ("intact", "fault")):
        ax.annotate(word, (place, 1), xycoords=("data", "axes fraction"), xytext=(0, 1),
                    textcoords="offset points", ha="center", va="bottom", color=plots.GREY,
                    fontsize=plots.SMALL)
    ax.set_yticks(range(len(rules)), [plots.style(rule)[2] for rule in rules])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.6, len(rules) - 0.4)
    every = np.concatenate([np.array(curves)[:, [0, -1]].ravel()
                            for curves in found["rules"].values()])
    ax.set_xlim(every.min() - 3, 101)
    plots.dress(ax, "After fine-tuning (%)", "")


def _curves(ax, found):
    samples = np.array(found["samples"]) / 1000
    ends = [(plots.band(ax, samples, np.array(curves), rule, ms=2.5, clip_on=True,
                        within=(0, 100)), plots.style(rule)[2])
            for rule, curves in found["rules"].items()]
    _references(ax, found, "y")
    ax.set_xlim(0, samples[-1])
    plots.dress(ax, "Samples of fine-tuning\n(thousands)", "")
    return ends


if __name__ == "__main__":
    figures.main(__file__)
