"""REINFORCE: the reward credits the stochastic spikes themselves.

Source: Williams 1992; for escape noise Pfister et al. 2006, Florian 2007.
"""

from . import Rule, _reward


def rule(depth):
    """REINFORCE: dw = -eta * (L - Lbar) * E, with E the trace of the score of every spike.

    The score of a step is d log P(S)/du = rho' dt (S/P - 1) with P = 1 - exp(-rho dt): exact
    for the discrete time step, and rho'/rho times (S - rho dt) in its limit.
    """
    blocks = _reward.critic()
    blocks["hidden"] += """
        chance = 1 - exp(-rho*dt) : 1
        score = slope*psi*(S/clip(chance, 1e-12, 1) - 1) : Hz
    """
    blocks["forward"] = "w : 1\ndE/dt = xbar_pre*score_post : 1"
    blocks["forward.trial"] = "w -= eta*tau_m*modulator_post*E\nE = 0"
    return Rule(
        "reinforce", "reward times the score of the spikes", "Williams 1992",
        blocks, {"eta": _reward.ETA, **_reward.PARAMETERS},
    )
