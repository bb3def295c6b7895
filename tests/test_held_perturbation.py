"""What a spike adds is what a held perturbation adds, in every step of the hold, or is refused.

The engines work out once a hold what a perturbation adds. The oracle works it out anew in every
step, from the same expression, into a variable of its own.
"""

import re

import numpy as np
import pytest
from brian2 import Hz
from fuzz.executors import Spiking, task_of
from fuzz.quick import quickly
from fuzz.strategy import Draw, Seeded

from bioopzo.errors import BioopzoError
from bioopzo.network.clock import time_course
from bioopzo.training.start import initial_weights

#: What stays as it is while a perturbation is held.
STILL = ("abs(w)", "int(w > 0.1)", "(1 + 0.1*i)", "(2 + j)", "own_pre", "cos(own_pre)", "drawn_pre",
         "alike_pre", "part", "sub", "(dt*100*Hz)", "alpha/Hz", "(2 + z_pre)")
#: What does not, each by one more way to change it; those from `depressed` on were once held.
MOVING = ("xbar_pre", "(1 + S_pre)", "chance_pre", "stepped_pre", "tide_pre", "tides", "(t/ms)",
          "(t_of_trial_pre/ms)", "(1 + gate_pre)", "(2 + sigma_post)", "rand()",
          "(1 + 0.2*randn())", "raised_post", "used", "depressed_pre", "back_pre", "back_post",
          "returned", "(1 + g_post)", "led_post", "faded", "handed_post")
#: The lines that a word stands for; "" is a block of the synapses.
LINES = {
    "own": {"hidden": "own : 1", "hidden.trial": "own = 0.3 + 0.2*i"},
    "drawn": {"hidden": "drawn : 1", "hidden.hold": "drawn = 0.5 + rand()"},
    "alike": {"hidden": "alike = 1 + 0.1*i/N : 1"},
    "part": {"": "part : 1", ".trial": "part = 0.5 + 0.1*i"},
    "sub": {"": "sub = 2 + abs(w) : 1"},
    "stepped": {"hidden": "stepped : 1", "hidden.step": "stepped += 0.1"},
    "tide": {"hidden": "tide = 1 + t_of_trial/tau_m : 1"},
    "tides": {"": "tides = 1 + sin(t/ms) : 1"},
    "raised": {"hidden": "raised : 1", "hidden.trial": "raised = 1",
               ".spike": "raised_post += 0.1"},
    "used": {"": "used : 1", ".trial": "used = 1", ".spike": "used *= 0.9"},
    # Short-term depression, as one writes it with a variable of the neuron.
    "depressed": {"hidden": "depressed : 1", "hidden.trial": "depressed = 1",
                  ".spike": "depressed_pre *= 0.9"},
    "back": {"hidden": "back : 1", ".post": "back_post += 0.1\nback_pre += 0.1"},
    "returned": {"": "returned : 1", ".post": "returned += 0.1"},
    "led": {"hidden": "led = 1 + g : 1"},
    "faded": {"": "faded : 1", ".trial": "faded = 1", ".hold": "faded *= 0.9"},
    "handed": {"hidden": "handed : 1", "hidden.trial": "handed = 1",
               ".hold": "handed_post += 0.1"},
}


def added(model, lines):
    """A model with `lines` at the ends of its blocks, or for what they do at a spike."""
    return model.edit({key: text if key.endswith("spike") else
                       f"{model.blocks.get(key, '')}\n{text}".strip()
                       for key, text in lines.items()})


def perturbed(rule, key, product):
    """The draw and the model in whose synapses `key` a spike adds a `product` of factors."""
    draw = Draw(5, (3, 2, 2, 2), rule, coding="poisson", plastic=(1, 1))
    model = draw.bare().edit({"eta": 0*Hz, "eta_o": 0*Hz})
    lines = {f"{key}.spike": f"{'o' if 'readout' in key else 'u'}_post += {product}"}
    for word in re.findall(r"[a-z]+", product):
        for block, text in LINES.get(word, {}).items():
            name = block if block.startswith("hidden") else key + block
            lines[name] = f"{lines[name]}\n{text}" if name in lines else text
    spike = lines.pop(f"{key}.spike")
    return draw, added(model, lines | {f"{key}.spike": spike})


def difference(draw, model, key, product):
    """How far what is held comes from what the oracle says, and how large it is: the largest."""
    target = "readout" if "readout" in key else "hidden_2"
    model = added(model, {
        target: "now : Hz\ngap : 1\nsize : 1",
        key: f"now_post = {product}*alpha*z_pre : Hz (summed)",
        # `now` is of the step's start, a new perturbation of its end.
        f"{target}.step": "gap += abs(sigma*(now - push))*ms*int(hold < 0.5)\n"
                          "size += abs(sigma*push)*ms"})
    task = task_of(draw)
    model = model.for_task(task)
    start = initial_weights(model, np.random.default_rng(1))
    with quickly():
        engine = Spiking(draw, model, task, time_course(model, task), start, False)
        found = [engine.trial(trial, True) for trial in range(2)][-1]
    return found[f"{target}.gap"].max(), found[f"{target}.size"].max()


@pytest.mark.parametrize("number", range(8))
def test_what_is_held_is_what_a_spike_adds_in_every_step(number):
    """Random products of what stays, in both perturbing rules, onto neurons and onto readouts."""
    choose = Seeded(f"held {number}")
    product = "*".join(["w", *(choose.one(STILL) for _ in range(3))])
    key = ("forward_2", "forward_readout")[number % 2]
    draw, model = perturbed(choose.one(("opzo", "node_perturbation")), key, product)
    off, size = difference(draw, model, key, product)
    assert size > 0 and off <= 1e-12*size, product


@pytest.mark.parametrize("factor", MOVING)
def test_what_moves_while_it_is_held_is_refused(factor):
    with pytest.raises(BioopzoError, match=rf"depends on {re.findall('[a-zA-Z_]+', factor)[0]}.*, "
                       "which (moves|changes) while the perturbation is held"):
        perturbed("opzo", "forward_2", f"w*{factor}")[1].check()
