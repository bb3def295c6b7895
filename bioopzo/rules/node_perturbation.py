"""Node perturbation: a scalar reward correlates with each neuron's own noise.

Source: Williams 1992; Fiete & Seung 2006; the zeroth-order (ZO) rival of Xiao et al. 2024.
"""

from bioopzo.rules import InputError, Rule, choose, critic, perturbation

REFERENCE = """
Fiete IR, Seung HS (2006). Gradient learning in spiking neural networks by dynamic perturbation
of conductances. Physical Review Letters 97, 048104.
"""


def rule(depth: int, points: str = "one", place: str = "after", distribution: str = "rademacher",
         baseline: bool = True) -> Rule:
    """Node perturbation: dw = -eta * advantage * z * eligibility / alpha at the end of a trial.

    Options: `points` ``"one"`` (loss against a running baseline) or ``"two"`` (loss with +z
    against loss with -z in one trial); `baseline` False leaves the baseline out (the plain
    zeroth-order estimate, ZO); `place` and `distribution` of the noise as in OPZO.
    The readout follows its own error, as for every rule.
    """
    if not isinstance(baseline, bool):
        raise InputError(f"baseline is True or False, not {baseline!r}")
    perturbs, measure, single = choose(
        "points", points, {"one": ("trial", "read", True), "two": ("pair", "window/2", False)})
    baseline = baseline and single
    blocks, current, parameters = perturbation(place, distribution)
    reward, more = critic(measure, baseline)
    for key, lines in reward.items():
        blocks[key] = blocks.get(key, "") + "\n" + lines
    psi = "psi*" if place == "after" else ""
    blocks["hidden"] += f"\nf = gate*{psi}z : 1"
    blocks["forward"] = "w : 1\ndE/dt = sensitivity*f_post : second"
    blocks["forward.trial"] = "w -= eta*modulator_post*E/(alpha*tau_o)\nE = 0*second"
    return Rule(
        "node_perturbation", "reward times the neuron's own perturbation", "Fiete & Seung 2006",
        blocks, {**parameters, **more}, reference=REFERENCE, perturbs=perturbs, current=current,
        needs=("xbar", "z", *(("psi", "push") if place == "after" else ())),
    )
