"""A leaky neuron whose synapses start a current that rises and decays, or an alpha function.

A spike starts a current that rises with tau_r and decays with tau_d, of as much charge as the jump
of the plain neuron has: in all, it moves the membrane by w. The shape "alpha" has one time constant
tau_s for both. A constant input is a current into the membrane itself.

Its sources keep sbar, their spikes after the synapse and the membrane, which takes the place of
xbar in every rule for the synapses onto such a neuron: a rule of three factors is right for it as
for the plain neuron. OPZO and node perturbation send their perturbation through the synapse, and
zbar passes it, too. The readout's own synapses stay jumps, and learn from xbar.

Source: Gerstner et al. 2014, section 3.1, for the currents, with logistic escape noise.
"""

from brian2.units import Hz, ms

from bioopzo.neurons import Neuron, Parameter, choose, substitute

REFERENCE = """
Gerstner W, Kistler WM, Naud R, Paninski L (2014). Neuronal dynamics: from single neurons to
networks and models of cognition. Cambridge University Press.
"""
SHAPES = {"double_exponential": ("tau_r", "tau_d"), "alpha": ("tau_s", "tau_s")}
TIMES = {
    "tau_r": Parameter(1.0*ms, "how fast a synaptic current rises", True),
    "tau_d": Parameter(5.0*ms, "how fast a synaptic current decays", True),
    "tau_s": Parameter(3.0*ms, "time to the peak of a synaptic current", True),
}


def neuron(shape: str = "double_exponential") -> Neuron:
    """tau_d dI/dt = -I + what has arrived; `shape` ``"double_exponential"`` or ``"alpha"``."""
    times = dict(zip(("rise", "decay"), choose("shape", shape, SHAPES)))

    def timed(text):
        return substitute(text, times)

    return Neuron(
        "double_exponential", "each spike starts a synaptic current that rises and decays",
        "Gerstner et al. 2014, section 3.1",
        {
            "hidden": timed("""
                du/dt = (b + drive - u)/tau_m + I/decay : 1
                dI/dt = -I/decay + arrived/rise : 1
                darrived/dt = -arrived/rise : 1
                dxbar/dt = -xbar/tau_m : 1
                p = 1/(1 + exp(-(u - theta)/Delta)) : 1
                rho = rho0*p : Hz
                psi = 4*p*(1 - p) : 1
                slope = rho0/(4*Delta) : Hz
                S : 1
                chance : 1
            """),
            "hidden.chance": "chance = 1 - exp(-rho*dt)",
            "hidden.step": "S = int(rand() < chance)",
            "hidden.threshold": "S > 0.5",
            "hidden.reset": "u -= theta\nxbar += 1",
            "hidden.trial": "u = 0\nI = 0\narrived = 0\nxbar = 0",
        },
        {
            "rho0": Parameter(500.0*Hz, "hazard at full drive", True),
            "Delta": Parameter(0.1, "width of the escape noise", True),
            **{name: TIMES[name] for name in dict.fromkeys(times.values())},
        },
        reference=REFERENCE,
        receives={"arrived": "w"},
        trace={
            "": timed("""
                dsbar/dt = -sbar/tau_m + Ibar/decay : 1
                dIbar/dt = -Ibar/decay + abar/rise : 1
                dabar/dt = -abar/rise : 1
            """),
            "spike": "abar += 1",
            "current": "sbar = xbar : 1",
        },
        synapse="sensitivity = sbar_pre : 1",
    )
