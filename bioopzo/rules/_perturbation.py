"""The perturbation that OPZO and node perturbation share, as text.

After the neuron, a neuron sends S/dt + sigma*alpha*z: the next layer receives w*alpha*z as a
current (`push`), computed once when a new z is drawn, since z is held. Before the neuron,
alpha*z enters its own membrane. sigma is +1, -1 or 0 in time (the trial's clock). This is the text
for the plain network; where neurons or synapses are edited, `network.paths` derives it from them.
"""

from brian2.units import Hz, ms

from bioopzo.network.perturbation import SENT, filters
from bioopzo.registry import choose
from bioopzo.text.parameters import Parameter

DRAW = {"rademacher": "2*int(rand() < 0.5) - 1", "gaussian": "randn()"}
SOURCE = "Xiao et al. 2024 (OPZO), section 4.4"

PARAMETERS = {
    "alpha": Parameter(60.0 * Hz, "size of the perturbation, in spikes per second", True, SOURCE,
                       search=(15, 120)),
    "T_z": Parameter(20.0 * ms, "how long one sign of z is held", True),
    "T_w": Parameter(14.0 * ms, "the last part of a hold, in which its effect is read", True),
    "memory": Parameter(0.3, "how long a membrane that spikes remembers a perturbation, as a share "
                        "of tau_m: every reset takes from it", True),
}


def perturbation(place: str, distribution: str
                 ) -> tuple[dict[str, str], str, dict[str, Parameter]]:
    """What lets a perturbation act ``"after"`` or ``"before"`` the neuron: the option `place`.

    A new z is drawn at each hold, of the `distribution` ``"rademacher"`` or ``"gaussian"``. Returns
    the blocks, the current that a rule adds to the membrane, and the parameters.
    """
    draw = choose("distribution", distribution, DRAW)
    current = choose("place", place, {"after": "sigma*push", "before": "sigma*alpha*z"})
    blocks = {"hidden": "z : 1", "hidden.hold": f"z = {draw}"}
    if place == "after":
        blocks["hidden"] += "\npush : Hz"
        blocks["hidden.hold"] += "\npush = 0*Hz"
        blocks["readout"] = f"do/dt = -o/tau_o + {current} : 1\npush : Hz"
        blocks["readout.hold"] = "push = 0*Hz"
        blocks["forward.hold"] = SENT
        blocks["forward_readout.hold"] = SENT
    return blocks, current, dict(PARAMETERS)


def path_filter(layer: int, depth: int, place: str) -> str:
    """zbar of hidden layer `layer` (1 first): z through every filter on its path to the readout.

    `depth` is the number of hidden layers, `place` that of the perturbation. Each membrane on the
    way filters with memory*tau_m, for its spikes reset it, and passes on slope*psi, so that M is
    comparable with the weights times psi of backpropagation. Where a membrane in force is another
    one, the model writes these lines anew (see `network.paths`).
    """
    return filters(depth - layer + (place == "before"))
