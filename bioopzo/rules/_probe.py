"""Not a rule: nothing learns, and one given neuron is perturbed; for `measures.jacobian`."""

from bioopzo.rules import Rule, path_filter, perturbation


def rule(depth: int, place: str = "after") -> Rule:
    """Perturb with the z found in the state; Dz is what it leaves, averaged as the decision is.

    The option `place` is that of `perturbation`.
    """
    blocks, current, parameters = perturbation(place, "rademacher")
    blocks["hidden"] += "\nDz : 1"
    blocks["hidden.hold"] = "push = 0*Hz\n" * (place == "after") + "Dz = 0"
    blocks["hidden.step"] = "Dz += read*zbar"
    blocks["forward"] = blocks["forward_readout"] = "w : 1"
    for layer in range(1, depth + 1):
        blocks[f"hidden_{layer}"] = path_filter(layer, depth, place)
    return Rule("_probe", "finite differences", "", blocks, parameters, perturbs="hold",
                current=current)
