"""The critic that reward-driven rules share: the trial's loss against a running baseline."""

from brian2.units import Hz

from bioopzo.registry import choose
from bioopzo.text.parameters import Parameter

ETA = Parameter(0.05 * Hz, "learning rate of the hidden weights", search=(0.01, 0.5), least=0)
KAPPA = Parameter(0.05, "rate of the running baseline of the loss", True, search=(0.005, 0.2),
                  most=1)


def critic(measure: str = "read", baseline: bool = True, moment: str = "trial"
           ) -> tuple[dict[str, str], dict[str, Parameter]]:
    """Blocks of the critic and its parameters: the loss, weighted in time by `measure`.

    It is taken against a running baseline, unless `baseline` is False.
    With `moment` ``"trial"`` the hidden neurons get `advantage` once, at the end of the trial;
    with ``"step"`` they get `surprise`, the loss of the moment less the baseline.
    """
    name, trial, step = choose("moment", moment, {
        "trial": ("advantage", "advantage = plastic*(L - Lbar)\n", ""),
        "step": ("surprise", "", "\nsurprise = plastic*gate*(loss - Lbar)"),
    })
    blocks = {
        "critic": f"loss : 1\nL : 1\nLbar : 1\n{name} : 1",
        "critic.step": f"L += {measure}*loss" + step,
        "critic.trial": trial + "Lbar += kappa*(L - Lbar)\n" * baseline + "L = 0",
        "report": "loss_post = loss_pre : 1 (summed)",
        "hidden": f"modulator = {name} : 1",
    }
    return blocks, {"eta": ETA, **({"kappa": KAPPA} if baseline else {})}
