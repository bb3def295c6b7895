"""A leaky neuron with synaptic conductances: what a spike does depends on the membrane.

A positive weight opens an excitatory conductance with the reversal potential E_e, a negative one an
inhibitory conductance with E_i; both close with tau_s. A constant input is a current.

Its sources keep cbar, their spikes after the conductance and a membrane at rest. A weight's
sensitivity is cbar times the driving force of the moment, E_e - u or u - E_i by the sign of w; that
open conductances shorten the membrane's memory is left out. A perturbation opens (or, where it is
negative, closes) the conductance of its synapse, never below 0, and zbar passes the membrane as it
is at rest: OPZO needs its time course only. Plasticity is dense.

Source: Gerstner et al. 2014, section 3.1, with logistic escape noise.
"""

from brian2.units import Hz, ms

from bioopzo.neurons import Neuron, Parameter

REFERENCE = """
Gerstner W, Kistler WM, Naud R, Paninski L (2014). Neuronal dynamics: from single neurons to
networks and models of cognition. Cambridge University Press.
"""


def neuron() -> Neuron:
    """tau_m du/dt = b + drive - u + g_e*(E_e - u) + g_i*(E_i - u)."""
    return Neuron(
        "conductance", "synaptic conductances with reversal potentials",
        "Gerstner et al. 2014, section 3.1",
        {
            "hidden": """
                du/dt = (b + drive - u + g_e*(E_e - u) + g_i*(E_i - u))/tau_m : 1
                dg_e/dt = -g_e/tau_s : 1
                dg_i/dt = -g_i/tau_s : 1
                dxbar/dt = -xbar/tau_m : 1
                p = 1/(1 + exp(-(u - theta)/Delta)) : 1
                rho = rho0*p : Hz
                psi = 4*p*(1 - p) : 1
                slope = rho0/(4*Delta) : Hz
                S : 1
                chance : 1
            """,
            "hidden.sample": "g_e = clip(g_e, 0, inf)\ng_i = clip(g_i, 0, inf)",
            "hidden.chance": "chance = 1 - exp(-rho*dt)",
            "hidden.step": "S = int(rand() < chance)",
            "hidden.threshold": "S > 0.5",
            "hidden.reset": "u -= theta\nxbar += 1",
            "hidden.trial": "u = 0\ng_e = 0\ng_i = 0\nxbar = 0",
        },
        {
            "rho0": Parameter(500.0*Hz, "hazard at full drive", True),
            "Delta": Parameter(0.1, "width of the escape noise", True),
            "tau_s": Parameter(5.0*ms, "how long a synaptic conductance stays open", True),
            "E_e": Parameter(3.0, "reversal potential of excitation", True),
            "E_i": Parameter(-1.0, "reversal potential of inhibition", True),
        },
        reference=REFERENCE,
        receives={"g_e": "clip(w, 0, inf)", "g_i": "clip(-w, 0, inf)"},
        trace={
            "": """
                dcbar/dt = (gbar - cbar)/tau_m : 1
                dgbar/dt = -gbar/tau_s : 1
                direct = 0 : 1
            """,
            "spike": "gbar += 1",
            "current": "cbar = 0 : 1\ndirect = xbar : 1",
        },
        synapse="sensitivity = direct_pre + cbar_pre*"
                "(int(w > 0)*(E_e - u_post) + int(w <= 0)*(u_post - E_i)) : 1",
    )
