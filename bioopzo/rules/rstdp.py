"""Reward-modulated STDP: what the order of spikes suggests, a reward decides upon.

Source: Florian 2007 (reward-modulated STDP with an eligibility trace); Izhikevich 2007.
"""

from brian2.units import Hz, ms

from bioopzo.rules import Parameter, Rule, critic

REFERENCE = """
Florian RV (2007). Reinforcement learning through modulation of spike-timing-dependent synaptic
plasticity. Neural Computation 19, 1468-1502.

Izhikevich EM (2007). Solving the distal reward problem through linkage of STDP and dopamine
signaling. Cerebral Cortex 17, 2443-2452.
"""


def rule(depth: int) -> Rule:
    """R-STDP: dw/dt = -eta * (loss - baseline) * E, where E follows the order of spikes.

    E rises by A_plus*xbar_pre at a postsynaptic spike, falls by A_minus*ybar_post at a presynaptic
    one, and decays with tau_e. An input that is a constant current has no spikes: its synapses
    have the rise alone. Unlike REINFORCE, E is not zero on average, so that learning needs a
    baseline that is near the mean reward of every kind of trial.
    """
    blocks, parameters = critic(moment="step")
    blocks["hidden"] += "\ndybar/dt = -ybar/tau_minus : 1"
    blocks["hidden.reset"] = "ybar += 1"
    blocks["hidden.trial"] = "ybar = 0"
    blocks["forward"] = "dE/dt = -E/tau_e : 1\ndw/dt = -eta*modulator_post*E : 1"
    blocks["forward.spike"] = "E -= A_minus*ybar_post"
    blocks["forward.post"] = "E += A_plus*xbar_pre"
    blocks["forward.trial"] = "E = 0"
    return Rule(
        "rstdp", "loss times the order of the spikes that preceded it",
        "Florian 2007; Izhikevich 2007", blocks,
        {**parameters,
         "eta": Parameter(0.02 * Hz, "learning rate of the hidden weights", search=(0.002, 0.5),
                          least=0),
         "tau_e": Parameter(20.0 * ms, "memory of the eligibility", True, search=(0.005, 0.05)),
         "tau_minus": Parameter(10.0 * ms, "memory of a postsynaptic spike", True),
         "A_plus": Parameter(1.0, "rise of the eligibility, pre before post"),
         "A_minus": Parameter(0.3, "fall of the eligibility, post before pre", search=(0.05, 1))},
        reference=REFERENCE, needs=("xbar",),
    )
