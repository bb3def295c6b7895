"""The limit without noise: a spike whenever the membrane is above threshold.

Source: Xiao et al. 2024 (OPZO), appendix B, for psi in the paper's discrete form; Xiao et al. 2022
(OTTT) for the trace. There is no hazard: rules that read rho cannot use this neuron.
"""

from bioopzo.neurons import Neuron, leaky


def neuron() -> Neuron:
    """S = 1 where u > theta; psi is the derivative of a logistic function of width 1/4."""
    return Neuron("deterministic", "a spike whenever the membrane is above threshold",
                  "Xiao et al. 2024 (OPZO), appendix B", leaky("""
        p = 1/(1 + exp(-4*(u - theta))) : 1
        psi = 4*p*(1 - p) : 1
        slope = 1/tau_m : Hz
    """, "int(u > theta)"))
