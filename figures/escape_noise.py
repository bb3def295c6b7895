"""Escape noise and its surrogate derivative, LocalZO included, as the text of the model has them.

A, the hazard rho(u) of every escape noise. B, the surrogate psi(u) that the plasticity reads
(lines), and the derivative of the hazard by central differences over its largest value, the `slope`
of the text (points): psi is that derivative. The deterministic neuron has a threshold in place of a
hazard, and only a surrogate. C, LocalZO: samples (points: mean of `draws` per membrane potential,
z normal, with the 95 % t-interval over seeds, smaller than the points in most places) against the
closed form for normal z (line), and the closed forms for other z. D, the share of neurons whose
sampled surrogate is not exactly zero, so that they need an update.

No formula is typed here: every curve evaluates lines of `Model.blocks`.
Source: Xiao et al. 2024 (OPZO), appendix B; Mukhoty et al. 2023 (LocalZO).
"""

import matplotlib.pyplot as plt
import numpy as np
from brian2.units import Hz

import bioopzo as bz
from bioopzo import plots
from bioopzo.engines.rate.arrays import evaluate
from bioopzo.studies import figures
from bioopzo.text.equations import identifiers, parse

NOISES = ("logistic", "exponential", "erf", "deterministic")
CLOSED = ("localzo_normal", "localzo_uniform", "localzo_laplace")
SAMPLED = {"localzo": "1 draw", "localzo_5": "mean of 5"}


def compute(parameters, jobs, progress):
    low, high = parameters["membrane_range"]
    u = np.linspace(low, high, parameters["points"])
    data = {"u": u, "theta": 1.0, "noises": {}, "closed": {}, "sampled": {},
            "seeds": list(range(parameters["seeds"]))}
    for noise in NOISES:
        model = _model(parameters, neuron=noise)
        found = {name: _line(model, name, u) for name in ("psi", "slope")}
        if noise != "deterministic":
            step = 1e-4
            found["rho_hz"] = _line(model, "rho", u)
            found["derivative"] = (_line(model, "rho", u + step) - _line(model, "rho", u - step)) \
                / (2 * step) / found["slope"]
        data["noises"][noise] = {k: np.broadcast_to(v, u.shape) for k, v in found.items()}
    for surrogate in CLOSED:
        data["closed"][surrogate] = _line(_model(parameters, surrogate=surrogate), "psi", u)
    coarse = np.linspace(low, high, parameters["sampled_points"])
    for surrogate in SAMPLED:
        model = _model(parameters, surrogate=surrogate)
        samples = [_sample(model, coarse, parameters["draws"], seed) for seed in data["seeds"]]
        data["sampled"][surrogate] = {
            "u": coarse, "mean": [psi.mean(axis=0) for psi in samples],
            "not_zero": [(psi != 0).mean(axis=0) for psi in samples]}
    return data


def _model(parameters, **options):
    model = bz.Model([1, 1, 1], rule="bp", **options)
    widths = {"Delta": parameters["Delta"], "delta_z": parameters["delta_z"],
              "rho0": parameters["rho0_hz"] * Hz}
    return model.edit({k: v for k, v in widths.items() if k in model.declared})


def _line(model, name, u):
    """A subexpression of the hidden neuron as a function of the membrane u, in base units."""
    lines = {line.name: line.right for line in parse(model.blocks["hidden"])
             if line.kind == "subexpression"}
    values = {"u": u, **{k: float(v) for k, v in model.parameters.items()}}

    def value(word):
        needed = identifiers(lines[word]) & set(lines)
        return evaluate(lines[word], {**values, **{k: value(k) for k in needed}})

    return value(name)


def _sample(model, u, draws, seed):
    """The sampled surrogate psi, `draws` times for every u: array (draws, u)."""
    rng = np.random.default_rng(seed)
    values = {"u": u, **{k: float(v) for k, v in model.parameters.items()}}
    for line in parse(model.blocks["hidden.sample"]):
        values["drawn"] = rng.normal(size=(draws, len(u)))
        values[line.name] = evaluate(line.right.replace("randn()", "drawn"), values)
    return values["psi"]


@plots.styled
def draw(data):
    fig = plt.figure(figsize=(plots.PAGE_CM / 2.54, 11.5 / 2.54), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    axes = fig.subplots(2, 2, sharex=True)
    more = [color for color, _ in plots.MORE_STYLES]
    inks = dict(zip([*NOISES, *CLOSED, *SAMPLED],
                    [plots.INK, more[0], more[1], plots.GREY, more[3], more[2], more[4],
                     more[3], plots.GREY]))
    _noises(axes[0], data, inks)
    for surrogate, values in data["closed"].items():
        axes[1, 0].plot(data["u"], values, color=inks[surrogate],
                        label=f"{surrogate.split('_')[1].replace('laplace', 'Laplace')} z")
    for surrogate, found in data["sampled"].items():
        for ax, key, scale in ((axes[1, 0], "mean", 1), (axes[1, 1], "not_zero", 100)):
            if key == "mean" and surrogate != "localzo":
                continue  # its expectation is the same
            mean, half = plots.interval(scale * np.array(found[key]))
            ax.errorbar(found["u"], mean, half, color=inks[surrogate], marker="o", ms=3.5,
                        mfc="white", mew=0.7, lw=0.9, ls="" if key == "mean" else "-",
                        label="samples" if key == "mean" else SAMPLED[surrogate])
    parameters, seeds = data["parameters"], len(data["seeds"])
    titles = (rf"Hazard, $\Delta={parameters['Delta']:g}$",
              "Surrogate (lines), derivative of the hazard (points)",
              rf"LocalZO, $\delta={parameters['delta_z']:g}$; samples: mean, 95 % interval, "
              f"{seeds} seeds", "Neurons that need an update (mean, 95 % interval)")
    labels = (r"$\rho$ (Hz)", r"$\psi$", r"$\psi$", r"$\psi\neq 0$ (%)")
    for ax, word, title, label in zip(axes.flat, "ABCD", titles, labels):
        ax.axvline(data["theta"], color=plots.PALE, lw=0.6, ls=(0, (3, 2)), zorder=1)
        plots.note(ax, title)
        ax.set_ylim(bottom=0)
        ax.legend(loc="upper right" if word == "C" else "upper left", borderaxespad=0.1,
                  handlelength=1.6, labelspacing=0.3)
        plots.dress(ax, "Membrane potential $u$" if ax in axes[1] else "", label)
        plots.letter(ax, word)
    axes[0, 0].annotate(r"$\theta$", (data["theta"], 1), xycoords=("data", "axes fraction"),
                        ha="center", va="bottom", color=plots.GREY)
    axes[0, 0].set_xlim(data["u"][0], data["u"][-1])
    return fig


def _noises(axes, data, inks):
    """Hazards, and the surrogate beside the derivative of the hazard."""
    u = np.array(data["u"])
    few = slice(None, None, len(u) // 40)
    for noise, found in data["noises"].items():
        look = {"color": inks[noise], "label": noise, "ls": "-" if "rho_hz" in found else "--"}
        axes[1].plot(u, found["psi"], **look)
        if "rho_hz" in found:
            axes[0].plot(u, found["rho_hz"], **look)
            axes[1].plot(u[few], found["derivative"][few], ls="", marker="o", ms=3.5, mfc="white",
                         mec=inks[noise], mew=0.7)


if __name__ == "__main__":
    figures.main(__file__)
