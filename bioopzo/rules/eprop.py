"""e-prop: eligibility filtered with the readout's time constant, fixed random feedback.

Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of
spiking neurons", without recurrence and adaptation.
"""

from bioopzo.rules import Parameter, Rule

REFERENCE = """
Bellec G, Scherr F, Subramoney A, Hajek E, Salaj D, Legenstein R, Maass W (2020). A solution to
the learning dilemma for recurrent networks of spiking neurons. Nature Communications 11, 3625.
"""


def rule(depth: int, scale: float = 0.5) -> Rule:
    """e-prop: dw = -eta * (xbar psi low-passed with tau_o) * g, triangular psi, random feedback."""
    return Rule(
        "eprop", "filtered eligibility with fixed random feedback", "Bellec et al. 2020",
        {
            "hidden": "psi = gamma*clip(1 - abs(u - threshold)/theta, 0, 1) : 1",
            "forward": """
                debar/dt = (eligibility - ebar)/tau_o : 1
                dw/dt = -eta*ebar*g_post : 1
            """,
            "forward.trial": "ebar = 0",
            "feedback": "B : 1\ng_post = B*err_pre : 1 (summed)",
        },
        {"gamma": Parameter(1.0, "height of the triangular surrogate", True)},
        reference=REFERENCE, matrix="B", feedback_scale=scale, needs=("u", "xbar", "g"),
    )
