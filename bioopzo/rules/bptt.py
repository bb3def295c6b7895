"""Backpropagation through time: the gradient of the trial's loss, by automatic differentiation.

Source: Neftci, Mostafa, Zenke 2019, for the surrogate in place of a spike's derivative. With rates
(`activity="rates"`) the gradient is exact; with spikes, a spike's derivative by `above`, how far
the membrane is above the threshold, is dS_du, that of its chance, 1 - exp(-rho dt). What a spike
resets or raises, the membrane or an adaptive threshold, follows it with this derivative.
`dampening` below 1 keeps a gradient in bounds that explodes all the same (Bellec et al. 2018 damp a
spike's derivative to a peak of 0.3); what goes through an adaptive threshold has it twice.
"""

from bioopzo.rules import Parameter, Rule

REFERENCE = """
Neftci EO, Mostafa H, Zenke F (2019). Surrogate gradient learning in spiking neural networks. IEEE
Signal Processing Magazine 36(6), 51-63.

Bellec G, Salaj D, Subramoney A, Legenstein R, Maass W (2018). Long short-term memory and
learning-to-learn in networks of spiking neurons. Advances in Neural Information Processing
Systems 31.
"""


def rule(depth: int) -> Rule:
    """BPTT: w follows dL/dw, where L is the loss averaged over the time in which it is read."""
    return Rule(
        "bptt", "the gradient of the trial's loss through time (rate engine only)",
        "Neftci et al. 2019",
        {
            "hidden": "dS_du : 1\nabove : 1",
            "hidden.chance": """
                dS_du = dampening*slope*psi*dt*(1 - chance)
                above = u - threshold
            """,
            "forward": "w : 1\ngradient : 1",
            "forward.trial": "w -= eta*tau_m*gradient",
            "forward_readout": "w : 1\ngradient : 1",
            "forward_readout.trial": "w -= eta_o*tau_m*gradient",
        },
        {"dampening": Parameter(1.0, "of a spike's derivative: 1 is exact, less forgets", True,
                                most=1)},
        reference=REFERENCE, needs=("xbar", "u", "psi", "slope", "chance"), gradient=True,
    )
