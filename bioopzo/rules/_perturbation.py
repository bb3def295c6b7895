"""The perturbation that OPZO and node perturbation share, as text.

After the neuron, a neuron sends S/dt + sigma*alpha*z: the next layer receives w*alpha*z as a
current (`push`), computed once when a new z is drawn, since z is held. Before the neuron,
alpha*z enters its own membrane. sigma is +1, -1 or 0 in time (`spiking.time_course`).
"""

from brian2.units import Hz, ms

from bioopzo.rules import choose
from bioopzo.text.parameters import Parameter

DRAW = {"rademacher": "2*int(rand() < 0.5) - 1", "gaussian": "randn()"}
SOURCE = "Xiao et al. 2024 (OPZO), section 4.4"

PARAMETERS = {
    "alpha": Parameter(60.0 * Hz, "size of the perturbation, in spikes per second", True, SOURCE,
                       search=(15, 120)),
    "T_z": Parameter(20.0 * ms, "how long one sign of z is held", True),
    "T_w": Parameter(14.0 * ms, "the last part of a hold, in which its effect is read", True),
}


def perturbation(place, distribution):
    """Blocks that draw z at each hold and let it act ``"after"`` or ``"before"`` the neuron."""
    draw = choose("distribution", distribution, DRAW)
    membrane, received = choose("place", place, {
        "after": ("sigma*push", "sigma*push"),
        "before": ("sigma*alpha*z", "0*Hz"),
    })
    blocks = {
        "hidden": f"du/dt = (b + drive - u)/tau_m + {membrane} : 1\nz : 1",
        "hidden.hold": f"z = {draw}",
    }
    if place == "after":
        blocks["hidden"] += "\npush : Hz"
        blocks["hidden.hold"] += "\npush = 0*Hz"
        blocks["readout"] = f"do/dt = -o/tau_o + {received} : 1\npush : Hz"
        blocks["readout.hold"] = "push = 0*Hz"
        blocks["forward.hold"] = "push_post += w*alpha*z_pre"
        blocks["forward_readout.hold"] = "push_post += w*alpha*z_pre"
    return blocks


def path_filter(layer, depth, place):
    """zbar of hidden layer `layer` (1 first): z through every filter on its path to the readout.

    Each membrane on the way filters with tau_m and passes on slope*psi, so that M is comparable
    with the weights times psi of backpropagation.
    """
    membranes = depth - layer + (place == "before")
    lines, source = [], "sigma*alpha*z"
    for k in range(1, membranes + 1):
        lines.append(f"dz{k}/dt = -z{k}/tau_m + {source} : 1")
        source = f"slope*z{k}"
    lines.append(f"dzbar/dt = -zbar/tau_o + {source} : 1")
    return "\n".join(lines)
