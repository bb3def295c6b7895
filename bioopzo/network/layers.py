"""Networks of layers, and what a rule adds to a network."""

from collections.abc import Container, Mapping, Sequence
from itertools import pairwise
from typing import Any

from bioopzo.network.entries import Needs, Population, Projection, Start
from bioopzo.network.table import Network


def recorded(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's `meta` says of its network, as `Network.described` has it.

    Runs saved before this was kept are layers of their sizes; every projection that such a
    network could have is there.
    """
    if "network" in meta:
        return meta["network"]
    layers, depth = layered(meta["sizes"]), len(meta["sizes"]) - 2
    rule = Needs(tuple(range(1, depth + 1)), depth, "M", 0.0)
    return completed(layers, rule, ("feedback", "critic", "report")).described()


def layered(sizes: Sequence[int], connections: Mapping[str, Any] | None = None) -> Network:
    """The network of layers of `sizes`: inputs, hidden layers, readouts.

    Each projects onto the next, all to all or as `connections` (name -> connection) says. An
    error population compares the readout with the target.
    """
    depth, connections = len(sizes) - 2, connections or {}
    hidden = [Population(f"hidden_{k}", sizes[k], "hidden", layer=k, distance=depth + 1 - k)
              for k in range(1, depth + 1)]
    layers = [Population("input", sizes[0], "input", layer=0), *hidden,
              Population("readout", sizes[-1], "readout", layer=depth + 1, distance=0,
                         reads=(("err", "error"),))]
    error = Population("error", sizes[-1], "error", reads=(("o", "readout"),))
    projections = []
    for k, (source, target) in enumerate(pairwise(layers), 1):
        kind = "forward_readout" if target.kind == "readout" else "forward"
        scales = ("gain", "input_gain") if k == 1 else ("gain",)
        projections.append(Projection(
            f"forward_{k}", source.name, target.name, kind, (kind, f"forward_{k}"),
            connections.get(f"forward_{k}"), ("w",), Start("w", "uniform", parameters=scales)))
    return Network((*layers, error), tuple(projections))


def completed(network: Network, rule: Any, blocks: Container[str]) -> Network:
    """The network with what a `rule` needs besides: feedback, branches, a critic, the softmax.

    `rule` is a `rules.Rule`, or the `Needs` of one; `blocks` are the model's, by name.
    """
    error, outputs = network.error, network.readout.size
    populations, projections = [], []
    critic = "critic" in blocks
    if critic:
        populations.append(Population("critic", 1, "critic"))
    for k in rule.branches:
        source = network.hidden[k - 1].name
        populations += [
            Population(f"local_{k}", outputs, "local", layer=k, distance=0,
                       reads=(("err", f"localerror_{k}"),)),
            Population(f"localerror_{k}", outputs, "localerror", layer=k,
                       reads=(("o", f"local_{k}"), ("y", error.name)))]
        projections += [
            Projection(f"forward_local_{k}", source, f"local_{k}", "forward_local",
                       learned=("w",), start=Start("w", "uniform", 1.0, ("gain",), 3)),
            _softmax(f"softmax_local_{k}", f"localerror_{k}")]
    if rule.intermediate:
        middle = f"localerror_{rule.intermediate}"
        projections += [_feedback("intermediate", middle, population, rule)
                        for population in network.hidden[:rule.intermediate - 1]]
    if "feedback" in blocks:
        projections += [_feedback("feedback", error.name, population, rule)
                        for population in network.hidden]
    projections.append(_softmax("softmax", error.name))
    if "report" in blocks and critic:
        projections.append(Projection("report", error.name, "critic", "report"))
    return network.plus(*populations, *projections)


def _feedback(kind, source, target, rule):
    learned = (rule.matrix,) if rule.matrix else ()
    rank = 1 if kind == "feedback" else 2
    start = Start(rule.matrix, "normal", rule.feedback_scale, (), rank)
    plain = target.name == f"hidden_{target.layer}"
    name = f"{kind}_{target.layer if plain else target.name}"
    return Projection(name, source, target.name, kind, learned=learned,
                      start=start if learned and rule.feedback_scale else None)


def _softmax(name, population):
    """The sum over an error population that the softmax divides by."""
    return Projection(name, population, population, "softmax", (),
                      text=(("", "Z_post = expo_pre : 1 (summed)"),))
