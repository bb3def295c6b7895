"""The way of a perturbation in the plain network, as rules write it."""

from collections.abc import Iterable, Mapping

from bioopzo.network.entries import Population
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


def pushes(names: Iterable[str]) -> list[str]:
    """What carries the perturbation into each of the variables `names` of a population."""
    return [f"push_{name}" if k else "push" for k, name in enumerate(names)]


def raised(populations: Iterable[Population], entries: Mapping[str, tuple[str, ...]],
           receives: Mapping[str, tuple[str, ...]], usual: str) -> dict[str, tuple[str, ...]]:
    """What spikes raise in each of the `populations` of one kind: name -> variables.

    `entries` are those of populations that perturbed spikes reach. Others have what is raised in
    one of the same neuron, else what theirs receives, and all the `usual` where no spikes come.
    """
    populations = tuple(populations)
    like = {p.neuron: entries[p.name] for p in populations if p.name in entries}
    return {p.name: entries.get(p.name) or like.get(p.neuron) or (
        receives.get(p.name) if like else None) or (usual,) for p in populations}
