"""Adaptive exponential integrate-and-fire: an upstroke, and a current that each spike starts.

The membrane is that of eif; an adaptation current a follows it (by a share c_a) with tau_a, rises
by beta at a spike, and is taken from what comes in.

A synapse has an eligibility of three components: its weight moves the membrane (xbar), thereby the
adaptation (epsilon, through spikes and c_a), and what the adaptation takes from the membrane again
(lost). The upstroke and the reset are left out: all rules take the membrane for linear, as at rest.
zbar passes membrane and adaptation, without the spikes' part. Plasticity is dense.

Source: Brette & Gerstner 2005, with escape noise in place of a peak that is crossed.
"""

from brian2.units import Hz, ms

from bioopzo.neurons import Neuron, Parameter

REFERENCE = """
Brette R, Gerstner W (2005). Adaptive exponential integrate-and-fire model as an effective
description of neuronal activity. Journal of Neurophysiology 94, 3637-3642.
"""


def neuron() -> Neuron:
    """tau_m du/dt = b + drive - u + Delta_T*exp((u - theta)/Delta_T) - a; a rises at a spike."""
    return Neuron(
        "adex", "an exponential upstroke, and an adaptation current", "Brette & Gerstner 2005",
        {
            "hidden": """
                du/dt = (b + drive - u + Delta_T*exp((u - theta)/Delta_T) - a)/tau_m : 1
                da/dt = (c_a*u - a)/tau_a : 1
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
            "hidden.reset": "u = u_r\na += beta\nxbar += 1",
            "hidden.trial": "u = 0\na = 0\nxbar = 0",
        },
        {
            "rho0": Parameter(500.0*Hz, "hazard at full drive", True),
            "Delta": Parameter(0.1, "width of the escape noise", True),
            "Delta_T": Parameter(0.1, "sharpness of the upstroke", True),
            "u_peak": Parameter(2.0, "peak of a spike, which the membrane does not exceed", True),
            "u_r": Parameter(0.0, "membrane after a spike", True),
            "tau_a": Parameter(40.0*ms, "time constant of the adaptation current", True),
            "c_a": Parameter(0.1, "how far the adaptation follows the membrane", True),
            "beta": Parameter(0.2, "rise of the adaptation by a spike"),
        },
        reference=REFERENCE,
        synapse="""
            depsilon/dt = (c_a*sensitivity - epsilon)/tau_a + beta*rises*sensitivity : 1
            rises = slope_post*psi_post : Hz
            dlost/dt = (epsilon - lost)/tau_m : 1
            sensitivity = xbar_pre - lost : 1
        """,
    )
