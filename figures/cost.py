"""What a training sample costs against width and depth: operations, memory and CPU time.

A, B, multiplications and additions that a rule needs beyond what every rule needs (the forward pass
and the change of the forward weights), counted while the rate engine runs: carrying the error to
the hidden layers in every step, and for OPZO learning the feedback synapses and sending its noise
through the forward weights once a trial, which noise before the neuron avoids. Grey: additions that
the spikes of the forward pass cause. Backpropagation grows with the square of the width, direct
feedback with the width; noise after the neuron with its square again, but once a trial and not in
every step. C, D, memory: all arrays that the engine holds for weights, optimiser and a batch. E, F,
CPU time of one thread for a training sample, the median of rounds in which the rules take turns
(bars: quartiles). On a processor the rules come close together as layers grow wide, since the
forward pass and the change of the weights are most of it.

Digits in the papers' discrete setting, untrained networks after a few batches; in the left column
two hidden layers, in the right column hidden layers of one width, three at most: in six steps what
is before a fourth does not reach the readout within a pair of holds. Operations and memory are
counts and have no spread worth drawing (they depend on the seed through the spikes only).

Source: Xiao et al. 2024 (OPZO), section 5.5, table 5 and appendix D.1.
"""

import time
from collections import Counter

import jax
import numpy as np
from matplotlib.ticker import LogLocator
from tqdm.auto import tqdm

import bioopzo as bz
from bioopzo import plots
from bioopzo.engines.rate import moment
from bioopzo.engines.rate.feed import presented
from bioopzo.engines.rate.settings import open_engine, settings
from bioopzo.studies import figures
from bioopzo.studies.discrete import discrete
from bioopzo.training.start import initial_weights

#: Label -> rule and options.
RULES = {"bp": ("bp", {}), "opzo": ("opzo", {}), "opzo, noise before": ("opzo", {
    "place": "before"}), "dfa": ("dfa", {}), "node_perturbation": ("node_perturbation", {})}
NAMES = {"opzo": "OPZO, noise after", "opzo, noise before": "OPZO, noise before"}
#: Batches before anything is measured: the feedback of OPZO starts at zero.
WARM = 3


def compute(parameters, jobs, progress):
    p, task = parameters, discrete("digits")
    shapes = {"width": {n: [n] * 2 for n in p["widths"]},
              "depth": {d: [p["width"]] * d for d in p["depths"]}}
    data, timing = {"batch": p["batch"], "steps": task.steps, "layer": p["width"]}, {}
    for kind, hidden in shapes.items():
        data[kind], timing[kind] = {"x": list(hidden)}, {}
        for number in tqdm(hidden, desc=kind, disable=not progress, leave=False):
            engines = {label: _engine(label, task, hidden[number], p) for label in RULES}
            counts = {label: _operations(*engines[label]) for label in RULES}
            for label, (_, spikes) in counts.items():
                entry = data[kind].setdefault(label, {"extra": [], "spikes": [], "memory_mb": []})
                entry["extra"].append(_extra(label, counts))
                entry["spikes"].append(spikes)
                entry["memory_mb"].append(_held(engines[label][0], engines[label][2]) / 1e6)
            for label, values in _times(engines, p["rounds"]).items():
                timing[kind].setdefault(label, []).append(values)
    return {**data, "timing": timing}


def _engine(label, task, hidden, p):
    """A warm engine with a function that trains it on one batch."""
    rule, options = RULES[label]
    model = bz.Model([task.n_in, *hidden, task.n_out], rule=rule, **options).for_task(task)
    engine = open_engine(model, task, settings(activity="deterministic"), p["seed"])
    start = initial_weights(engine.model, np.random.default_rng(p["seed"]))
    engine.put(start)
    inputs, targets = presented(task)
    shown = task.splits["train"][:p["batch"]]
    batch = inputs[shown], targets[shown]

    def train():
        engine.train(batch[0][None], batch[1][None])

    for _ in range(WARM):
        train()
    return engine, train, batch


def _operations(engine, train, batch):
    """((synapses, kind of product) -> operations, additions by spikes), a sample."""
    size, counter = len(batch[0]), Counter()
    names = {id(connection): name for name, connection in engine.connections.items()}

    def counted(kind, product):
        def counting(connection, rows, *rest):
            counter[names[id(connection)], kind] += len(rows) * connection.pre * connection.post
            return product(connection, rows, *rest)
        return counting

    plain = {kind: getattr(moment, kind) for kind in ("forward", "transpose", "outer")}
    for kind, product in plain.items():
        setattr(moment, kind, counted(kind, product))
    try:
        engine.trial(*batch)  # operation by operation
    finally:
        for kind, product in plain.items():
            setattr(moment, kind, product)
    _, _, spikes = engine.evaluate(*batch)
    sizes = engine.model.sizes
    sent = sum(float(spikes[f"hidden_{k}"].mean()) * sizes[k] * sizes[k + 1]
               for k in range(1, len(sizes) - 1))
    return {key: count / size for key, count in counter.items()}, sent


def _extra(label, counts):
    """Operations but for the change of the forward weights and a forward pass without noise."""
    forward = {key: count for key, count in counts["dfa"][0].items()
               if key[0].startswith("forward") and key[1] == "forward"}
    return sum(count - forward.get(key, 0) for key, count in counts[label][0].items()
               if not (key[0].startswith("forward") and key[1] == "outer"))


def _held(engine, batch):
    """Bytes of what is kept from batch to batch, and of what the program of one needs besides."""
    kept = engine.kept(True, len(batch[0]))
    program = engine.programs["look"].lower(
        kept, engine.given(*batch), engine.fixed(engine.constants),
        engine.course.astype(engine.dtype), engine.seed_key(True), np.int32(0)).compile()
    return sum(np.asarray(value).nbytes for value in jax.tree.leaves(kept)) + \
        program.memory_analysis().temp_size_in_bytes


def _times(engines, rounds):
    """CPU time a sample in ms, of every round: rules take turns, so that all meet the same load."""
    found = {label: [] for label in engines}
    for _ in range(rounds):
        for label, (_, train, batch) in engines.items():
            begin = time.process_time()
            train()
            found[label].append(1e3 * (time.process_time() - begin) / len(batch[0]))
    return found


@plots.styled
def draw(data):
    labels = [label for rule in plots.RULE_STYLE for label in RULES if RULES[label][0] == rule]
    fig, axes = plots.figure(plots.PAGE_CM, 13.5, nrows=3, ncols=2, sharex="col", sharey="row")
    fig.get_layout_engine().set(hspace=0.04, wspace=0.04)
    for column, kind in enumerate(("width", "depth")):
        found, x = data[kind], np.array(data[kind]["x"])
        for label in labels:
            look = _look(label)
            axes[0, column].plot(x, np.array(found[label]["extra"]) / 1e3, **look)
            axes[1, column].plot(x, found[label]["memory_mb"], **look)
            rounds = np.array(data["timing"][kind][label])
            low, middle, high = np.percentile(rounds, (25, 50, 75), axis=1)
            axes[2, column].errorbar(x, middle, yerr=[middle - low, high - middle], capsize=1.5,
                                     elinewidth=0.8, **look)
        axes[0, column].plot(x, np.array(found["bp"]["spikes"]) / 1e3, color=plots.PALE, lw=1.6,
                             zorder=0)
        for ax in axes[:, column]:
            ax.set_yscale("log")
            if kind == "width":
                ax.set_xscale("log")
            ax.set_xticks(x, [f"{value:g}" for value in x])
            ax.minorticks_off()
    for row, ax in enumerate(axes[:, 0]):
        ax.yaxis.set_major_locator(LogLocator(subs=(1,) if row == 0 else (1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
    axes[0, 0].annotate("additions\nby spikes", (data["width"]["x"][-1],
                        data["width"]["bp"]["spikes"][-1] / 1e3), color=plots.GREY, xytext=(3, 0),
                        textcoords="offset points", va="center", fontsize=plots.SMALL,
                        annotation_clip=False)
    for row, text in enumerate(("Operations of the rule\na sample (thousands)",
                                "Memory of the engine\n(MB)", "CPU time a sample\n(ms)")):
        plots.dress(axes[row, 0], "", text)
        plots.letter(axes[row, 0], "ACE"[row])
        plots.letter(axes[row, 1], "BDF"[row])
    plots.dress(axes[2, 0], "Neurons of each of two hidden layers", "")
    plots.dress(axes[2, 1], f"Hidden layers of {data['layer']} neurons", "")
    handles, names = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside upper center", ncols=len(names), handlelength=2.2,
               columnspacing=1.2)
    plots.note(axes[2, 0], f"median of {len(rounds[0])} rounds, bars: quartiles")
    plots.note(axes[2, 1], f"batches of {data['batch']}, {data['steps']} steps, one thread")
    return fig


def _look(label):
    """The rule's own line; noise before the neuron dashed."""
    colour, marker, name = plots.style(label.split(",")[0])
    dashed = {"ls": (0, (3, 1.5)), "mfc": "white"} if "," in label else {"mec": "white"}
    return {"color": colour, "marker": marker, "label": NAMES.get(label, name), "mew": 0.6,
            **dashed}


if __name__ == "__main__":
    figures.main(__file__)
