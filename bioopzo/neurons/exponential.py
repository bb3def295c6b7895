"""Exponential escape noise, bounded.

The hazard stops growing at Delta above threshold (there psi is e): without a bound, a learning
network runs away, and the digits stay at chance.

Source: Xiao et al. 2024 (OPZO), appendix B; Xiao et al. 2022 (OTTT) for the trace.
"""

from bioopzo.neurons import Neuron, escape_noise


def neuron() -> Neuron:
    """rho = rho0*exp((u - theta)/Delta), up to Delta above threshold."""
    blocks, parameters = escape_noise("""
        p = exp(clip((u - theta)/Delta, -50, 1)) : 1
        rho = rho0*p : Hz
        psi = p*int((u - theta)/Delta < 1) : 1
        slope = rho0/Delta : Hz
    """)
    return Neuron("exponential", "escape noise whose hazard grows exponentially up to a bound",
                  "Xiao et al. 2024 (OPZO), appendix B", blocks, parameters)
