"""Logistic escape noise: the hazard rises over Delta around the threshold and is bounded.

Source: Xiao et al. 2024 (OPZO), appendix B, for hazard and psi; Xiao et al. 2022 (OTTT) for the
trace.
"""

from bioopzo.neurons import Neuron, escape_noise


def neuron() -> Neuron:
    """rho = rho0/(1 + exp(-(u - theta)/Delta))."""
    blocks, parameters = escape_noise("""
        p = 1/(1 + exp(-(u - theta)/Delta)) : 1
        rho = rho0*p : Hz
        psi = 4*p*(1 - p) : 1
        slope = rho0/(4*Delta) : Hz
    """)
    return Neuron("logistic", "escape noise with a bounded, logistic hazard",
                  "Xiao et al. 2024 (OPZO), appendix B", blocks, parameters)
