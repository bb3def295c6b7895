"""What a delay of the error signal does to learning.

The error population answers late: its text is edited so that the derivative of the loss passes
through a chain of `stages` filters with the total mean delay D before it becomes `err` (a gamma
distribution of delays, not a pure shift). A, the chain runs on: the target is shown until the
trial ends (20 to 60 ms), so what is still under way then teaches during the next trial, when
another image is there. B, the chain is emptied when a trial begins: what is late is lost and
nothing is taught wrongly. Every rule reads the same late `err`: the readout (also of the control
in which it learns alone), the transported error of BP, the fixed feedback of DFA, M of OPZO, and
e-prop, whose eligibility trace is low-passed with the readout's 10 ms. What OPZO learns about M
does not use the error and is not delayed. Hidden layers learn at the rates tuned without a delay.
The readout learns within the trial, a loop that swings up when it is fast and its error late (OPZO
at 3 Hz falls to chance at 10 ms, at 0.75 Hz it does not): all have one slow rate there.

Held-out accuracy on the digits (plasticity off) against D; thick: mean over seeds, thin: each seed
(intervals from five seeds on); the dashed line is chance, and a run whose weights grow beyond all
bounds counts as chance (None among the numbers). Spiking engine, 64-32-32-10, one trial at a time.
"""

from concurrent.futures import ThreadPoolExecutor

import matplotlib.pyplot as plt
import numpy as np
from brian2.units import Hz, ms
from tqdm.auto import tqdm

import bioopzo as bz
from bioopzo import plots
from bioopzo.errors import NonFiniteError
from bioopzo.studies import figures
from bioopzo.text.equations import parse, substitute

#: Whether the chain is emptied when a trial begins.
ENDINGS = {"runs on": False, "emptied": True}


def compute(parameters, jobs, progress):
    task = bz.tasks.digits()
    sizes, seeds = [task.n_in, *task.hidden, task.n_out], list(range(parameters["seeds"]))
    delays, rules = parameters["delays_ms"], parameters["rules"]
    models = {}
    for rule in rules:
        models[rule, "", 0] = bz.Model(sizes, rule=rule, eta_o=parameters["eta_o_hz"] * Hz)
        models |= {(rule, ending, delay): delayed(
            models[rule, "", 0], delay, parameters["stages"], float(task.dt / ms), emptied)
            for ending, emptied in ENDINGS.items() for delay in delays[1:]}

    def accuracy(job):
        case, seed = job
        try:
            return bz.train(models[case], task, parameters["trials"], seed, evaluations=1,
                            progress=False).test_accuracy
        except NonFiniteError:
            return None

    todo = [(case, seed) for case in models for seed in seeds]
    with ThreadPoolExecutor(jobs) as pool:
        found = dict(zip(todo, tqdm(pool.map(accuracy, todo), total=len(todo), unit="run",
                                    disable=not progress)))

    def accuracies(rule, ending, delay):
        return [found[(rule, ending, delay) if delay else (rule, "", 0), seed] for seed in seeds]

    return {
        "task": task.name, "sizes": sizes, "seeds": seeds, "delays_ms": delays,
        "text": {ending: _error_text(models[rules[0], ending, delays[1]]) for ending in ENDINGS},
        # None: a weight became infinite or NaN.
        "accuracy": {ending: {rule: [accuracies(rule, ending, delay) for delay in delays]
                              for rule in rules} for ending in ENDINGS},
    }


def _error_text(model):
    return {name: text for name, text in model.blocks.items() if name.startswith("error")}


def delayed(model, delay_ms, stages, dt_ms, emptied):
    """The model with an error that comes `delay_ms` late on average."""
    delta = next(line.right for line in parse(model.blocks["error"]) if line.name == "err")
    # Before the first step nobody has summed Z, and 0*expo/0 would stay in the chain for good.
    delta = substitute(delta, {"Z": "clip(Z, 1e-9, 1e9)"})
    chain = [f"delta = {delta} : 1", *(
        f"dlate_{k}/dt = ({f'late_{k - 1}' if k > 1 else 'delta'} - late_{k})/tau_late : 1"
        for k in range(1, stages + 1)), f"err = plastic*late_{stages} : 1"]
    # In steps of dt a filter delays by dt/(1 - exp(-dt/tau)) on average: tau for exactly D.
    tau_ms = -dt_ms / np.log(1 - stages * dt_ms / delay_ms)
    model = model.edit(err="\n".join(chain), tau_late=tau_ms * ms)
    if not emptied:
        return model
    empty = "\n".join(f"late_{k} = 0" for k in range(1, stages + 1))
    return model.edit({"error.trial": model.blocks["error.trial"] + "\n" + empty})


@plots.styled
def draw(data):
    fig = plt.figure(figsize=(plots.PAGE_CM / 2.54, 7 / 2.54), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.06)
    axes = fig.subplots(1, 2, sharey=True)
    delays = np.array(data["delays_ms"], dtype=float)
    chance = 100 / data["sizes"][-1]
    for ax, word, (ending, accuracy) in zip(axes, "AB", data["accuracy"].items()):
        ends = []
        for rule, values in accuracy.items():
            values = 100 * np.array(values, dtype=float)
            line = plots.band(ax, delays, np.where(np.isfinite(values), values, chance).T, rule,
                              within=(0, 100))
            ends.append((line, line.get_label()))
        line, = ax.plot([0, delays[-1]], [chance, chance], color=plots.GREY, lw=0.8,
                        ls=(0, (3, 2)), zorder=1)
        ax.set_xlim(0, delays[-1])
        ax.set_ylim(0, 100)
        plots.dress(ax, "Mean delay of the error (ms)",
                    "Held-out accuracy (%)" if word == "A" else "")
        told = {"runs on": "Late errors teach during the next trial",
                "emptied": "Late errors are dropped when the trial ends"}[ending]
        plots.note(ax, told, color=plots.INK, pad=12)
        ax.annotate(plots.meaning(len(data["seeds"])), (0, 1), xycoords="axes fraction",
                    xytext=(0, 3), textcoords="offset points", color=plots.GREY,
                    fontsize=plots.SMALL)
        plots.letter(ax, word)
        plots.label_ends(ax, [*ends, (line, "chance")])
    return fig


if __name__ == "__main__":
    figures.main(__file__)
