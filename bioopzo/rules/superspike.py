"""SuperSpike: a surrogate derivative, an eligibility filtered twice, random feedback.

Source: Zenke & Ganguli 2018, with random feedback as there, and this package's error.
"""

from brian2.units import ms

from bioopzo.rules import Parameter, Rule

REFERENCE = """
Zenke F, Ganguli S (2018). SuperSpike: supervised learning in multilayer spiking neural networks.
Neural Computation 30, 1514-1541.
"""


def rule(depth: int, scale: float = 0.5) -> Rule:
    """SuperSpike: dw/dt = -eta*ehat*g; ehat is the eligibility filtered with tau_rise and tau_o.

    psi is the fast sigmoid's derivative, 1/(1 + steepness*|u - threshold|)^2.
    """
    return Rule(
        "superspike", "twice filtered eligibility with fixed random feedback",
        "Zenke & Ganguli 2018",
        {
            "hidden": "psi = 1/(1 + steepness*abs(u - threshold))**2 : 1",
            "forward": """
                debar/dt = (eligibility - ebar)/tau_rise : 1
                dehat/dt = (ebar - ehat)/tau_o : 1
                dw/dt = -eta*ehat*g_post : 1
            """,
            "forward.trial": "ebar = 0\nehat = 0",
            "feedback": "B : 1\ng_post = B*err_pre : 1 (summed)",
        },
        {"steepness": Parameter(5.0, "of the surrogate derivative", True, search=(1, 20)),
         "tau_rise": Parameter(5.0 * ms, "rise of the eligibility", True)},
        reference=REFERENCE, matrix="B", feedback_scale=scale, needs=("u", "xbar", "g"),
    )
