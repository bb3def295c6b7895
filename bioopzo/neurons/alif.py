"""Adaptive threshold: every spike raises the threshold by beta, and the raise decays.

Source: Bellec et al. 2018, with logistic escape noise. psi follows the threshold theta + a, and so
do the psi of a rule (eprop) and a surrogate (LocalZO).

A synapse has the two-component eligibility of Bellec et al. 2020, equations 24 and 25: its weight
moves the membrane (by xbar) and, through the spikes that this adds, the threshold (by epsilon). In
a step of dt the paper has epsilon_a += dt*(psi*xbar - psi*beta*epsilon_a) - dt/tau_a*epsilon_a and
the eligibility psi*(xbar - beta*epsilon_a). Here epsilon is beta*epsilon_a, and slope*psi the
derivative of the hazard, since psi has a peak of 1. What a spike takes from the membrane is left
out, as in the paper. With one hidden layer and expected activity, the rule bp is then 1.3 degrees
from the gradient through time, and 26 without epsilon (`tests/test_eligibility.py`), and e-prop
with symmetric feedback and this psi 5 and 27. With e-prop's own psi, a triangle five times as wide,
epsilon takes more than the threshold does: 27, and 10 without it. A mask of dropout stands before
psi in epsilon, too.

OPZO and node perturbation take zbar through the membrane alone: a hold is short for the adaptation.
"""

from brian2.units import Hz, ms

from bioopzo.neurons import Neuron, Parameter

REFERENCE = """
Bellec G, Salaj D, Subramoney A, Legenstein R, Maass W (2018). Long short-term memory and
learning-to-learn in networks of spiking neurons. Advances in Neural Information Processing
Systems 31.

Bellec G, Scherr F, Subramoney A, Hajek E, Salaj D, Legenstein R, Maass W (2020). A solution to
the learning dilemma for recurrent networks of spiking neurons. Nature Communications 11, 3625.
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
        synapse="""
            depsilon/dt = -epsilon/tau_a + beta*slope_post*psi_post*(xbar_pre - epsilon) : 1
            sensitivity = xbar_pre - epsilon : 1
        """,
        threshold="theta + a",
    )
