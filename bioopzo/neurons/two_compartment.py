"""Two compartments: spikes arrive in a dendrite, and the soma follows it.

Spikes raise the dendrite v, which leaks with tau_d; the soma u leaks with tau_m (its coupling to
the dendrite included) towards g_d*v and the constant input. A spike of the soma resets the soma
only: the dendrite does not know of it, and predicts the soma by g_d*v.

Its sources keep dbar, their spikes after dendrite and soma, which takes the place of xbar in every
rule for synapses onto such a neuron. The error reaches the soma's synapses as the modulator of the
rule, and not through a dendrite of its own as in Guerguiev et al. 2017 and Sacramento et al. 2018.
OPZO and node perturbation send their perturbation into the dendrite, and zbar passes both
compartments.

Source: Urbanczik & Senn 2014, Sacramento et al. 2018, with logistic escape noise and jumps.
"""

from brian2.units import Hz, ms

from bioopzo.neurons import Neuron, Parameter

REFERENCE = """
Urbanczik R, Senn W (2014). Learning by the dendritic prediction of somatic spiking. Neuron 81,
521-528.

Sacramento J, Costa RP, Bengio Y, Senn W (2018). Dendritic cortical microcircuits approximate the
backpropagation algorithm. Advances in Neural Information Processing Systems 31.
"""


def neuron() -> Neuron:
    """tau_m du/dt = b + drive + g_d*v - u, and spikes raise v."""
    return Neuron(
        "two_compartment", "spikes arrive in a dendrite, which the soma follows",
        "Urbanczik & Senn 2014",
        {
            "hidden": """
                du/dt = (b + drive + g_d*v - u)/tau_m : 1
                dv/dt = -v/tau_d : 1
                dxbar/dt = -xbar/tau_m : 1
                p = 1/(1 + exp(-(u - theta)/Delta)) : 1
                rho = rho0*p : Hz
                psi = 4*p*(1 - p) : 1
                slope = rho0/(4*Delta) : Hz
                S : 1
                chance : 1
            """,
            "hidden.chance": "chance = 1 - exp(-rho*dt)",
            "hidden.step": "S = int(rand() < chance)",
            "hidden.threshold": "S > 0.5",
            "hidden.reset": "u -= theta\nxbar += 1",
            "hidden.trial": "u = 0\nv = 0\nxbar = 0",
        },
        {
            "rho0": Parameter(500.0*Hz, "hazard at full drive", True),
            "Delta": Parameter(0.1, "width of the escape noise", True),
            "tau_d": Parameter(8.0*ms, "time constant of the dendrite", True),
            "g_d": Parameter(1.2, "how strongly the soma follows the dendrite", True),
        },
        reference=REFERENCE,
        receives={"v": "w"},
        trace={
            "": "ddbar/dt = (g_d*vbar - dbar)/tau_m : 1\ndvbar/dt = -vbar/tau_d : 1",
            "spike": "vbar += 1",
            "current": "dbar = xbar : 1",
        },
        synapse="sensitivity = dbar_pre : 1",
    )
