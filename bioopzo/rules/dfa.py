"""Direct feedback alignment: fixed random feedback from the error to every hidden layer.

Source: Nokland 2016, "Direct feedback alignment provides learning in deep neural networks".
"""

from bioopzo.rules import Rule, branches

REFERENCE = """
Nøkland A (2016). Direct feedback alignment provides learning in deep neural networks.
Advances in Neural Information Processing Systems 29.
"""


def rule(depth: int, scale: float = 0.5, local: bool = False, intermediate: int | None = None
         ) -> Rule:
    """DFA: g_j = sum_k B_jk err_k, B fixed and random (normal, standard deviation `scale`).

    Options: `local` learning and `intermediate` global learning as in OPZO.
    """
    blocks = {"feedback": "B : 1\ng_post = B*err_pre : 1 (summed)"}
    layers, parameters = branches(blocks, depth, local, intermediate)
    return Rule(
        "dfa", "fixed random feedback", "Nokland 2016", blocks, parameters, reference=REFERENCE,
        matrix="B", feedback_scale=scale, branches=layers, intermediate=intermediate,
    )
