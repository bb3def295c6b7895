"""Event data: what an event camera sends, as frames, and what a trained network makes of it.

A, the events of one digit in space and time, a dot each: blue where it became darker, orange where
brighter; the camera moves three times. B, the same events as frames for the rate engine, darker
minus brighter. C, one held-out trial in the spiking engine after training (OPZO, one trial at a
time): input spikes at their own times, both hidden layers, the readouts; shaded, the time in which
the decision is read. One sample of one trained network, so there is no interval.

SIMULATED from 8x8 digits, because no recording may be part of this project's files; a recording of
N-MNIST is shown by ``bioopzo figures event_data --set source=recorded``. Source of the data set:
Orchard et al. 2015.
"""

import matplotlib.pyplot as plt
import numpy as np

import bioopzo as bz
from bioopzo import plots
from bioopzo.measures.recording import Recording
from bioopzo.plots import events as plots_events
from bioopzo.studies import figures


def compute(parameters, jobs, progress):
    options = {"recorded": {"partial": True},
               "simulated": {"simulate": True, "images": "digits"}}[parameters["source"]]
    options = {**options, "samples": parameters["samples"], "test": 50}
    task = bz.tasks.nmnist("spiking", **options)
    framed = bz.tasks.nmnist("rate", counts=True, **options)
    model = bz.Model([task.n_in, *parameters["hidden"], task.n_out], rule="opzo")
    run = bz.train(model, task, parameters["trials"], parameters["seed"], evaluations=1,
                   progress=progress)
    sample = int(task.splits["test"][parameters["shown"]])
    trial = bz.measures.record(run, sample, seed=parameters["seed"], plastic=False)
    steps = parameters["frames"]
    return {
        "task": task.name, "data": task.description, "seed": parameters["seed"],
        "held_out_accuracy": run.test_accuracy, "label": task.labels[sample],
        "events": plots_events.events(task, sample),
        "frames": plots_events.images(framed, sample, steps), "frame_steps": steps,
        "frame_ms": 1e3 * float(framed.dt),
        "time_ms": trial.time, "dt_ms": trial.meta["dt_ms"], "read": task.mask,
        "sizes": {name: found.shape[1] for name, found in trial.spikes.items()},
        "spikes": {name: np.argwhere(found) for name, found in trial.spikes.items()},
        "readout": trial.values["readout.o"].round(4),
    }


@plots.styled
def draw(data):
    fig = plt.figure(figsize=(plots.PAGE_CM / 2.54, 13 / 2.54))
    cloud = fig.add_axes((-0.03, 0.53, 0.5, 0.44), projection="3d")
    plots_events.draw_cloud(data["events"], cloud, size=1.2)
    grid = fig.add_gridspec(2, 3, left=0.53, right=0.99, bottom=0.56, top=0.95, wspace=0.08,
                            hspace=0.2)
    axes = [fig.add_subplot(place) for place in grid]
    plots_events.draw_frames(data["frames"], data["frame_steps"], data["frame_ms"], axes)
    rows = fig.add_gridspec(4, 1, left=0.09, right=0.98, bottom=0.075, top=0.49, hspace=0.32,
                            height_ratios=[1.5, 1, 1, 1.2])
    rows = [fig.add_subplot(place) for place in rows]
    spikes = {name: np.zeros((len(data["time_ms"]), size), int)
              for name, size in data["sizes"].items()}
    for name, found in data["spikes"].items():
        spikes[name][tuple(np.array(found, int).reshape(-1, 2).T)] = 1
    trial = Recording(np.array(data["time_ms"]), spikes, {}, {"dt_ms": data["dt_ms"]})
    plots_events.raster(trial, rows[:3])
    _readout(rows[3], data)
    shown = np.flatnonzero(data["read"])
    for ax in rows:
        ax.axvspan(data["time_ms"][shown[0]], data["time_ms"][shown[-1]] + data["dt_ms"],
                   color="#F3EFE0", lw=0, zorder=0)
        ax.set_xlim(0, data["time_ms"][-1] + data["dt_ms"])
        if ax is not rows[3]:
            ax.tick_params(bottom=False, labelbottom=False)
            ax.set_xlabel("")
    kind = "simulated" if "SIMULATED" in data["data"] else "recorded"
    fig.text(0.035, 0.982, f"{kind} digit {data['label']}", va="top", fontsize=plots.SMALL,
             color=plots.GREY)
    for place, word, colour in ((0.17, "became darker", plots_events.DARKER),
                                (0.33, "brighter", plots_events.BRIGHTER)):
        fig.text(place, 0.982, f"\u25cf {word}", va="top", fontsize=plots.SMALL, color=colour)
    for word, x, y in (("A", 0.01, 0.985), ("B", 0.52, 0.985), ("C", 0.01, 0.505)):
        fig.text(x, y, word, fontweight="bold", fontsize=plots.NORMAL + 1, va="top")
    return fig


def _readout(ax, data):
    """All readouts in grey, that of the digit in colour."""
    values = np.array(data["readout"])
    colour = plots.style("dfa")[0]
    ax.plot(data["time_ms"], values, color=plots.PALE, lw=0.7)
    ax.plot(data["time_ms"], values[:, data["label"]], color=colour)
    ax.set_title("Readout", loc="left", fontsize=plots.SMALL, pad=2)
    ax.annotate(f"class {data['label']}", (1, 1), xycoords="axes fraction", xytext=(0, 2),
                textcoords="offset points", ha="right", color=colour, fontsize=plots.SMALL)
    plots.dress(ax, "Time in the trial (ms)", "$o$")


if __name__ == "__main__":
    figures.main(__file__)
