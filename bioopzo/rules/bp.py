"""Backpropagation through space with transported weights: the reference.

Source: Xiao et al. 2022 (OTTT): the surrogate derivative replaces that of the spike, the
presynaptic trace replaces backpropagation through time.
"""

from bioopzo.rules import Rule

REFERENCE = """
Xiao M, Meng Q, Zhang Z, He D, Lin Z (2022). Online training through time for spiking neural
networks. Advances in Neural Information Processing Systems 35.
"""


def rule(depth: int) -> Rule:
    """BP: g_j = sum over the next layer of w * psi * g, every step."""
    return Rule(
        "bp", "backpropagation with transported weights (the reference)", "Xiao et al. 2022",
        {
            "hidden": "delta = psi*g : 1",
            "readout": "delta = g : 1",
            "backward": "g_pre = w*delta_post : 1 (summed)",
        },
        reference=REFERENCE,
    )
