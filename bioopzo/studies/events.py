"""Results of event data beside accuracies: simulator against recordings, and cost of a trial."""

import resource
from pathlib import Path

import numpy as np

from bioopzo.datasets import files, recordings, simulated_nmnist
from bioopzo.engines import tools
from bioopzo.engines.spiking import backends
from bioopzo.engines.spiking.chunk import Chunk
from bioopzo.engines.spiking.feed import parameter_values, rows, tables
from bioopzo.errors import InputError
from bioopzo.files import write_json
from bioopzo.model import Model
from bioopzo.network.clock import shape_of, time_course
from bioopzo.training.start import initial_weights, versions

BIN_US, END_US = 10_000, 310_000


def simulation(out, data=None):
    """Compare simulated with recorded N-MNIST, image by image; writes ``out/NAME.json``.

    Real recordings of any part of N-MNIST, and simulations of the same images; recordings that
    were looked at while the simulator was made, and silent ones, are left out. Returns the
    content: a row per quantity. InputError where MNIST is missing or fewer than two are left.
    """
    event_set = recordings.EVENT_SETS["nmnist"]
    folder = recordings.find(event_set, data)
    found = recordings.listing(event_set, folder, partial=True)
    images = files.load("mnist", data)
    real, simulated = [], []
    for split, offset, pixels, left_out in (
            ("train", 1, images[0], set(simulated_nmnist.seen())), ("test", 60001, images[2], ())):
        chosen = [r for r in found[split] if int(r.path.stem) - offset not in left_out]
        numbers = [int(r.path.stem) - offset for r in chosen]
        for events, made in zip(
                recordings.events_of(event_set, folder, chosen, split),
                simulated_nmnist.recordings(pixels[numbers], seed=0)):
            if len(events):
                real.append(_described(events))
                simulated.append(_described(made))
    if len(real) < 2:
        raise InputError(f"{folder} holds {len(real)} recordings to compare with (others are "
                         "silent, or were looked at while the simulator was made); it takes two")
    content = {
        "about": "simulated against real N-MNIST, recordings of the same digits",
        "command": "bioopzo results nmnist_simulation", "recordings": len(real),
        "left_out": sum(map(len, found.values())) - len(real),
        "simulator": simulated_nmnist.CONSTANTS,
        "simulated_against_real": _rows(real, simulated),
        "rate": {"bin_ms": BIN_US / 1000,
                 **{name: np.mean([d["rate"] for d in described], axis=0).round(3).tolist()
                    for name, described in (("real", real), ("simulated", simulated))}},
        "versions": versions()}
    write_json(Path(out) / "nmnist_simulation.json", content)
    return content


def _described(events):
    """Numbers of one recording: events, share of p = 1, events in time, where they fall."""
    side = simulated_nmnist.SIDE
    cells = ((np.minimum(events["t"] // simulated_nmnist.SACCADE_US, 2) * 2 + events["p"]) * side
             + events["y"]) * side + events["x"]
    return {"events": len(events), "share": float(np.mean(events["p"])),
            "rate": np.histogram(events["t"], np.arange(0, END_US + 1, BIN_US))[0],
            "map": np.bincount(cells, minlength=6 * side * side)}


def _rows(real, simulated):
    """[quantity, of recordings, of simulations]; a quantity of both has one number."""
    def both(name, function, digits):
        return [name, *(round(float(function(d)), digits) for d in (real, simulated))]

    def column(described, key):
        return np.array([d[key] for d in described])

    rates = [column(d, "rate").mean(axis=0) for d in (real, simulated)]
    numbers = [column(d, "events") for d in (real, simulated)]
    maps = [np.corrcoef(a["map"], b["map"])[0, 1] for a, b in zip(real, simulated)]
    return [
        both("events per recording, mean", lambda d: column(d, "events").mean(), 0),
        both("events per recording, sd over recordings", lambda d: column(d, "events").std(), 0),
        both("share of events that are darkening (p = 1)", lambda d: column(d, "share").mean(), 3),
        ["events per recording, correlation over digits",
         round(float(np.corrcoef(*numbers)[0, 1]), 3)],
        ["mean rate in bins of 10 ms, correlation", round(float(np.corrcoef(*rates)[0, 1]), 3)],
        ["where events fall (pixel, polarity, saccade), correlation, mean over digits",
         round(float(np.mean(maps)), 3)],
    ]


def table(content):
    """The comparison as Markdown."""
    lines = ["| quantity | recorded | simulated |", "|---|---|---|"]
    for name, *values in content["simulated_against_real"]:
        shown = [f"{v:.0f}" if v > 10 else f"{v:.3f}" for v in values]
        lines.append(f"| {name} | {shown[0]} | {shown[-1] if len(shown) > 1 else ''} |")
    return "\n".join(lines)


def cost_table(content):
    """What a trial costs, as Markdown."""
    lines = ["| network in the spiking engine | ms of CPU a trial |", "|---|---|"]
    return "\n".join(lines + [f"| {label} | {value:.1f} |"
                              for label, value in content["cpu_ms_per_trial"].items()])


def costs(task, hidden, rules=("opzo", "readout_only"), trials=64):
    """Milliseconds of CPU a trial in the spiking engine, beside those of the input alone.

    `input alone` is the network with one neuron a layer and plasticity off: the input neurons, how
    events reach them, the clock. Everything is counted, the exchange of a chunk too; compilation is
    not; the least of three measurements. Needs a C++ compiler.
    """
    networks = {rule: (rule, hidden, True) for rule in rules}
    networks["input alone"] = ("readout_only", [1] * len(hidden), False)
    return {label: round(_cost(task, *network, trials), 2) for label, network in networks.items()}


def _cost(task, rule, hidden, plastic, trials):
    if tools.compiler() is None:
        raise InputError("the cost of a trial is that of the compiled network; install g++")
    model = Model([task.n_in, *hidden, task.n_out], rule=rule).for_task(task)
    shape = shape_of(task, rows(task))
    engine = backends.open_backend("standalone", model, shape)
    state = {**engine.start, **initial_weights(model, np.random.default_rng(0))}
    samples = np.resize(task.splits["train"], min(trials, shape.rows))
    chunk = Chunk(
        len(samples), state, parameter_values(model, shape),
        {"course": time_course(model, task), **tables(task, shape, samples, plastic)}, 1)
    spent = []
    for _ in range(3):  # the least disturbed counts
        begin = _cpu()
        tables(task, shape, samples, plastic)  # made anew for every chunk of a run
        engine.run(chunk)
        spent.append(_cpu() - begin)
    return 1e3 * min(spent) / len(samples)


def _cpu():
    """Seconds of CPU of this process and of those it waited for."""
    return sum(used.ru_utime + used.ru_stime for used in map(
        resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
