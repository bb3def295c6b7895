"""Backpropagation through time: the gradient of the trial's loss, by automatic differentiation.

Source: Neftci, Mostafa, Zenke 2019, for the surrogate in place of a spike's derivative. With rates
(`activity="rates"`) the gradient is exact, resets included; with spikes, a spike's derivative is
dS_du, that of its chance, 1 - exp(-rho dt), and what a spike resets is taken for given.
"""

from bioopzo.rules import Rule

REFERENCE = """
Neftci EO, Mostafa H, Zenke F (2019). Surrogate gradient learning in spiking neural networks. IEEE
Signal Processing Magazine 36(6), 51-63.
"""


def rule(depth: int) -> Rule:
    """BPTT: w follows dL/dw, where L is the loss averaged over the time in which it is read."""
    return Rule(
        "bptt", "the gradient of the trial's loss through time (rate engine only)",
        "Neftci et al. 2019",
        {
            "hidden": "dS_du : 1",
            "hidden.chance": "dS_du = slope*psi*dt*(1 - chance)",
            "forward": "w : 1\ngradient : 1",
            "forward.trial": "w -= eta*tau_m*gradient",
            "forward_readout": "w : 1\ngradient : 1",
            "forward_readout.trial": "w -= eta_o*tau_m*gradient",
        },
        reference=REFERENCE, needs=("xbar", "psi", "slope"), gradient=True,
    )
