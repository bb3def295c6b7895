"""The way of a perturbation in the plain network, as rules write it."""

from bioopzo.network.scores import SLOPE

#: The term of a rule in the membrane, and where its perturbation acts.
PLACES = {"sigma*push": "after", "sigma*alpha*z": "before"}
SOURCE = "sigma*alpha*z"
#: What a perturbation of alpha*z spikes per second does in a plain synapse.
SENT = "push_post += w*alpha*z_pre"


def filters(membranes: int, name: str = "zbar") -> str:
    """Text of z after so many hidden `membranes`, then the readout's, as `name`.

    A membrane keeps it for memory*tau_m: the spikes that it causes reset the membrane.
    """
    lines, source = [], SOURCE
    for k in range(1, membranes + 1):
        lines.append(f"dz{k}/dt = -z{k}/(memory*tau_m) + {source} : 1")
        source = f"slope*z{k}"
    lines.append(f"d{name}/dt = -{name}/tau_o + {source} : 1")
    return "\n".join(lines)


def plain(depth: int) -> frozenset[str]:
    """The lines that rules write for the plain network, of `depth` hidden layers."""
    found = {line for count in range(depth + 1) for name in ("zbar", "zbar_mid")
             for line in filters(count, name).splitlines()}
    return frozenset({SENT, SLOPE, *found})
