"""Exponential integrate-and-fire: the membrane runs away by itself above threshold.

Below theta it is leaky, above it rises like an exponential of sharpness Delta_T, up to u_peak. It
spikes by chance with a logistic hazard around theta, so that psi is as for the plain neuron, and a
spike sets it to u_r.

Every rule takes the membrane for linear, as it is at rest: the trace xbar and zbar decay with
tau_m, and leave the upstroke out. Euler's method integrates it, so that plasticity is dense.

Source: Fourcaud-Trocmé et al. 2003, with escape noise in place of a peak that is crossed.
"""

from brian2.units import Hz

from bioopzo.neurons import Neuron, Parameter

REFERENCE = """
Fourcaud-Trocmé N, Hansel D, van Vreeswijk C, Brunel N (2003). How spike generation mechanisms
determine the neuronal response to fluctuating inputs. Journal of Neuroscience 23, 11628-11640.
"""


def neuron() -> Neuron:
    """tau_m du/dt = b + drive - u + Delta_T*exp((u - theta)/Delta_T)."""
    return Neuron(
        "eif", "an exponential upstroke above threshold", "Fourcaud-Trocmé et al. 2003",
        {
            "hidden": """
                du/dt = (b + drive - u + Delta_T*exp((u - theta)/Delta_T))/tau_m : 1
                dxbar/dt = -xbar/tau_m : 1
                p = 1/(1 + exp(-(u - theta)/Delta)) : 1
                rho = rho0*p : Hz
                psi = 4*p*(1 - p) : 1
                slope = rho0/(4*Delta) : Hz
                S : 1
                chance : 1
            """,
            "hidden.sample": "u = clip(u, -u_peak, u_peak)",
            "hidden.chance": "chance = 1 - exp(-rho*dt)",
            "hidden.step": "S = int(rand() < chance)",
            "hidden.threshold": "S > 0.5",
            "hidden.reset": "u = u_r\nxbar += 1",
            "hidden.trial": "u = 0\nxbar = 0",
        },
        {
            "rho0": Parameter(500.0*Hz, "hazard at full drive", True),
            "Delta": Parameter(0.1, "width of the escape noise", True),
            "Delta_T": Parameter(0.1, "sharpness of the upstroke", True),
            "u_peak": Parameter(2.0, "peak of a spike, which the membrane does not exceed", True),
            "u_r": Parameter(0.0, "membrane after a spike", True),
        },
        reference=REFERENCE,
    )
