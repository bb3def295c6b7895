"""Escape noise of a Gaussian on the membrane: the hazard is an error function.

Source: Xiao et al. 2024 (OPZO), appendix B; Xiao et al. 2022 (OTTT) for the trace.
"""

from bioopzo.neurons import Neuron, escape_noise


def neuron() -> Neuron:
    """rho = rho0*(1 + erf((u - theta)/(sqrt(2)*Delta)))/2, so that psi is a Gaussian."""
    blocks, parameters = escape_noise("""
        p = (1 + erf((u - theta)/(sqrt(2)*Delta)))/2 : 1
        rho = rho0*p : Hz
        psi = exp(-((u - theta)/Delta)**2/2) : 1
        slope = rho0/(Delta*sqrt(2*pi)) : Hz
    """)
    return Neuron("erf", "escape noise of a Gaussian: the hazard is an error function",
                  "Xiao et al. 2024 (OPZO), appendix B", blocks, parameters)
