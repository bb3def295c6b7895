"""REINFORCE: the reward credits the stochastic spikes themselves.

Source: Williams 1992; for escape noise Pfister et al. 2006, Florian 2007.
"""

from brian2.units import ms

from bioopzo.rules import Parameter, Rule, critic

REFERENCE = """
Williams RJ (1992). Simple statistical gradient-following algorithms for connectionist
reinforcement learning. Machine Learning 8, 229-256.
"""


def rule(depth: int) -> Rule:
    """REINFORCE: dw/dt = -eta * (loss - baseline) * E, with E the trace of every spike's score.

    The score of a step is d log P(S)/du = rho' dt (S/P - 1) with P = 1 - exp(-rho dt): exact
    for the discrete time step, and rho'/rho times (S - rho dt) in its limit. A spike is credited
    only with the loss that comes after it, for about tau_e: as long as it acts on the readout.
    """
    blocks, parameters = critic(moment="step")
    blocks["hidden"] += """
        drho = slope*psi : Hz
        score = drho*(S/clip(chance, 1e-12, 1) - 1) : Hz
    """
    blocks["forward"] = """
        dE/dt = sensitivity*score_post - E/tau_e : 1
        dw/dt = -eta*modulator_post*E : 1
    """
    blocks["forward.trial"] = "E = 0"
    return Rule(
        "reinforce", "loss times the score of the spikes that preceded it", "Williams 1992",
        blocks,
        {**parameters,
         "tau_e": Parameter(10.0 * ms, "memory of the eligibility", True, search=(0.003, 0.04))},
        reference=REFERENCE, needs=("xbar", "drho", "S", "chance"),
    )
