"""Direct Kolen-Pollack: as direct feedback alignment, but the feedback synapses learn too.

Source: Kolen & Pollack 1994; Webster, Choi, Ahn 2020 for the direct form.
"""

from brian2.units import Hz

from bioopzo.rules import Parameter, Rule

REFERENCE = """
Kolen JF, Pollack JB (1994). Backpropagation without weight transport. Proceedings of the IEEE
International Conference on Neural Networks 3, 1375-1380.

Webster MB, Choi J, Ahn C (2020). Learning the connections in direct feedback alignment.
OpenReview zgGmAx9ZcY.
"""


def rule(depth: int, scale: float = 0.5) -> Rule:
    """DKP: g_j = sum_k B_jk err_k; B follows -xbar_j err_k at the forward rate, same decay."""
    return Rule(
        "dkp", "direct feedback that follows the Kolen-Pollack rule",
        "Kolen & Pollack 1994; Webster et al. 2020",
        {
            "forward": "dw/dt = -eta*eligibility*g_post - decay*w : 1",
            "forward_readout": "dw/dt = -eta_o*xbar_pre*g_post - decay*w : 1",
            "feedback": """
                dB/dt = -eta_o*xbar_post*err_pre - decay*B : 1
                g_post = B*err_pre : 1 (summed)
            """,
        },
        {"decay": Parameter(0.002 * Hz, "weight decay of forward and feedback synapses",
                            search=(1e-4, 0.1), least=0)},
        reference=REFERENCE, matrix="B", feedback_scale=scale,
    )
