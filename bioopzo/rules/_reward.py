"""The critic that reward-driven rules share: the trial's loss against a running baseline."""

from brian2.units import Hz

from ..neurons import Parameter

ETA = Parameter(0.05 * Hz, "learning rate of the hidden weights", search=(0.01, 0.5))
PARAMETERS = {"kappa": Parameter(0.05, "rate of the running baseline of the loss", True,
                                 search=(0.005, 0.2))}


def critic(measure="read", baseline=True):
    """Blocks of the critic: `advantage` is the trial's loss (weighted in time by `measure`)
    minus its baseline, broadcast to every hidden neuron at the end of the trial."""
    trial = "advantage = plastic*(L - Lbar)\n"
    trial += "Lbar += plastic*kappa*(L - Lbar)\n" if baseline else ""
    return {
        "critic": "loss : 1\nL : 1\nLbar : 1\nadvantage : 1",
        "critic.step": f"L += {measure}*loss",
        "critic.trial": trial + "L = 0",
        "report": "loss_post = loss_pre : 1 (summed)",
        "hidden": "modulator = advantage : 1",
    }
