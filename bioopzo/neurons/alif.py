"""Adaptive threshold: every spike raises the threshold by beta, and the raise decays.

Source: Bellec et al. 2018, with logistic escape noise. psi is the derivative of the hazard, so it
follows the threshold; what a rule (eprop) or a surrogate (LocalZO) puts in its place measures the
distance to theta alone. Credit runs through the membrane only, not through the adaptation.
"""

from brian2.units import Hz, ms

from bioopzo.neurons import Neuron, Parameter

REFERENCE = """
Bellec G, Salaj D, Subramoney A, Legenstein R, Maass W (2018). Long short-term memory and
learning-to-learn in networks of spiking neurons. Advances in Neural Information Processing
Systems 31.
"""


def neuron() -> Neuron:
    """tau_a da/dt = -a, a rises by beta at a spike, and the threshold is theta + a."""
    return Neuron(
        "alif", "adaptive threshold: each spike raises it for a while", "Bellec et al. 2018",
        {
            "hidden": """
                du/dt = (b + drive - u)/tau_m : 1
                dxbar/dt = -xbar/tau_m : 1
                da/dt = -a/tau_a : 1
                p = 1/(1 + exp(-(u - theta - a)/Delta)) : 1
                rho = rho0*p : Hz
                psi = 4*p*(1 - p) : 1
                slope = rho0/(4*Delta) : Hz
                S : 1
                chance : 1
            """,
            "hidden.chance": "chance = 1 - exp(-rho*dt)",
            "hidden.step": "S = int(rand() < chance)",
            "hidden.threshold": "S > 0.5",
            "hidden.reset": "u -= theta\na += beta\nxbar += 1",
            "hidden.trial": "u = 0\na = 0\nxbar = 0",
        },
        {
            "rho0": Parameter(500.0*Hz, "hazard at full drive", True),
            "Delta": Parameter(0.1, "width of the escape noise", True),
            "tau_a": Parameter(40.0*ms, "how long a raise of the threshold lasts", True),
            "beta": Parameter(0.3, "raise of the threshold by a spike"),
        },
        reference=REFERENCE,
    )
