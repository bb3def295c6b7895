"""The pictures of the pages of rules and neurons, from data that is in the repository."""

import json
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from bioopzo.files import write_atomically
from bioopzo.plots import STYLE, band, dress, figure

ROOT = Path(__file__).parents[1]
#: Where the learning curve of a rule is: the first of these results that has it.
RESULTS = ("digits_4000", "two_choice", "store_recall")
#: What each of them is, in words.
OF = {"digits_4000": "8x8 digits, 64-32-32-10, one trial at a time",
      "two_choice": "a choice in context, by reward only, 30-20-2",
      "store_recall": "store and recall, 60 recurrent adaptive neurons, rate engine"}

NOISE = ("Left: the chance to spike per second (or, without noise, whether it spikes) against the "
         "membrane. Right: psi, its derivative with a peak of 1. Dotted: the threshold "
         "(`bioopzo figures escape_noise`).")
ANSWER = ("Left: the membrane under a constant current; ticks are spikes. Right: what one spike "
          "that arrives does in a membrane at rest, by the sign of the weight, beside the trace "
          "xbar (`bioopzo figures neurons`).")


@cache
def _data(path):
    return json.loads((ROOT / "figures" / path).read_text())["data"]


def learning_curve(rule: str, path: Path) -> str:
    """Draw how a `rule` learns, beside bp and the control; returns what is shown, or nothing."""
    name = next((name for name in RESULTS if rule in _data(f"data/{name}.json")["curves"]), "")
    if not name:
        return ""
    curves = _data(f"data/{name}.json")["curves"]
    seeds = len(curves[rule]["accuracy"])
    said = (f"Held-out accuracy while it learns {OF[name]}; mean and 95 % interval over {seeds} "
            f"seeds (`bioopzo results {name}`).")
    if _is_new(path, f"data/{name}.json"):
        return said
    with plt.rc_context(STYLE):
        drawn, ax = figure(height=5.5)
        for label in dict.fromkeys((rule, "bp", "readout_only")):
            if label in curves:
                band(ax, curves[label]["trials"], 100 * np.array(curves[label]["accuracy"]), label)
        dress(ax, "training trials", "held-out accuracy (%)")
        ax.legend(loc="lower right")
        _save(drawn, path)
    return said


def response(neuron: str, path: Path) -> str:
    """Draw what a `neuron` answers, or its noise; what it shows, empty where no data is kept."""
    noises = _data("images/escape_noise.json")
    answers = _data("images/neurons.json")["neurons"]
    if neuron not in answers and neuron not in noises["noises"]:
        return ""
    noisy = neuron in noises["noises"]
    if not _is_new(path, "images/escape_noise.json", "images/neurons.json"):
        with plt.rc_context(STYLE):
            drawn, (left, right) = plt.subplots(1, 2, figsize=(6.0, 2.2), layout="constrained")
            if noisy:
                _noise(left, right, np.array(noises["u"]), noises["noises"][neuron])
            else:
                _answer(left, right, answers[neuron])
            _save(drawn, path)
    return NOISE if noisy else ANSWER


def _noise(left, right, u, noise):
    if "rho_hz" in noise:
        left.plot(u, noise["rho_hz"], color="#0072B2")
    else:
        left.plot(u, (u > 1).astype(float), color="#0072B2")
    dress(left, "membrane u", "hazard (Hz)" if "rho_hz" in noise else "spike")
    right.plot(u, noise["psi"], color="#D55E00")
    dress(right, "membrane u", "psi")
    for ax in (left, right):
        ax.axvline(1, color="#B0B0B0", lw=0.6, ls=":")


def _answer(left, right, answer):
    u = np.array(answer["step"]["u"])
    left.plot(1 + np.arange(len(u)), u, color="#0072B2")
    for spike in answer["step"]["spikes_ms"]:
        left.axvline(spike, ymin=0.93, color="#404040", lw=0.8)
    dress(left, "time (ms)", "membrane u")
    right.plot(answer["up"], color="#D55E00", label="weight > 0")
    right.plot(answer["down"], color="#009E73", label="weight < 0")
    right.plot(answer["xbar"], color="#8C8C8C", ls="--", label="xbar")
    right.legend()
    dress(right, "time (ms)", "membrane / weight")


def _is_new(path, *sources):
    """Whether a picture is newer than its data, and than this file."""
    return path.is_file() and all(place.stat().st_mtime < path.stat().st_mtime for place in
                                  (Path(__file__), *(ROOT / "figures" / one for one in sources)))


def _save(drawn, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: drawn.savefig(file, format="png", dpi=120))
    plt.close(drawn)
