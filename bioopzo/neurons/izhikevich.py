"""Izhikevich's neuron: a quadratic membrane and a recovery variable.

In units in which rest is 0 and the membrane runs away by itself above theta: tau_m du/dt is
u*(u - theta)/theta plus what comes in, less the recovery a, which follows the membrane (by a share
c_a) with tau_a and rises by beta at a spike. The four numbers of the paper are 1/tau_a, c_a, u_r
and beta. It spikes by chance with a logistic hazard around theta, up to u_peak.

Its membrane at rest leaks with tau_m, and every rule takes it for linear, as it is there. A synapse
has the eligibility of the adex neuron, with what the recovery takes. Plasticity is dense.

Source: Izhikevich 2003, with escape noise in place of a peak that is crossed.
"""

from brian2.units import Hz, ms

from bioopzo.neurons import Neuron, Parameter

REFERENCE = """
Izhikevich EM (2003). Simple model of spiking neurons. IEEE Transactions on Neural Networks 14,
1569-1572.
"""


def neuron() -> Neuron:
    """tau_m du/dt = b + drive + u*(u - theta)/theta - a; a rises at a spike."""
    return Neuron(
        "izhikevich", "a quadratic membrane and a recovery variable", "Izhikevich 2003",
        {
            "hidden": """
                du/dt = (b + drive + u*(u - theta)/theta - a)/tau_m : 1
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
            "u_peak": Parameter(2.0, "peak of a spike, which the membrane does not exceed", True),
            "u_r": Parameter(0.0, "membrane after a spike", True),
            "tau_a": Parameter(40.0*ms, "time constant of the recovery variable", True),
            "c_a": Parameter(0.1, "how far the recovery follows the membrane", True),
            "beta": Parameter(0.2, "rise of the recovery by a spike"),
        },
        reference=REFERENCE,
        synapse="""
            depsilon/dt = (c_a*sensitivity - epsilon)/tau_a + beta*rises*sensitivity : 1
            rises = slope_post*psi_post : Hz
            dlost/dt = (epsilon - lost)/tau_m : 1
            sensitivity = xbar_pre - lost : 1
        """,
    )
