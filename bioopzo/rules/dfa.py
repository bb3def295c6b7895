"""Direct feedback alignment: fixed random feedback from the error to every hidden layer.

Source: Nokland 2016, "Direct feedback alignment provides learning in deep neural networks".
"""

from . import Rule


def rule(depth, scale=0.5):
    """DFA: g_j = sum_k B_jk err_k, B fixed and random (normal, standard deviation `scale`)."""
    return Rule(
        "dfa", "fixed random feedback", "Nokland 2016",
        {"feedback": "B : 1\ng_post = B*err_pre : 1 (summed)"},
        matrix="B", feedback_scale=scale,
    )
