"""How the text of a model is composed: the network's blocks, the rule's over them, then the edits.

`model` is a `model.Model` throughout, whose settings these functions read.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from brian2.units import second

from bioopzo import neurons
from bioopzo.errors import EquationError, InputError, Mistake
from bioopzo.network import assigned, parts, paths, perturbation, topology, words
from bioopzo.network.blocks import CARRIED, apply_edit, lay_over
from bioopzo.network.layers import completed
from bioopzo.text.entries import Entries
from bioopzo.text.equations import (
    compose,
    defines,
    identifiers,
    is_expression,
    parse,
    render,
)

#: The rule that teaches the readout only.
CONTROL = "readout_only"
#: The blocks of what is not there where no neurons are hidden.
OF_HIDDEN = {"hidden", "forward", "feedback", "backward"}


def followed(model: Any, blocks: Mapping[str, str], known: frozenset[str]) -> paths.Followed:
    """The blocks with the way of the perturbation that they imply; what stands against it.

    `blocks` and `known` are what `written` gives.
    """
    found = _follow(model, blocks, known)
    return found._replace(blocks=Entries(_tidy(found.blocks)))


def bare(model: Any) -> Mapping[str, str]:
    """The blocks of the network alone, without rule, edits, surrogate and dropout."""
    blocks = _of_network(model)
    _put_in(model, blocks)
    return Entries(_tidy(blocks))


def written(model: Any) -> tuple[Mapping[str, str], frozenset[str]]:
    """The blocks with the edits in them, and the lines that may be written anew.

    The way of a perturbation is not yet derived from the edits (see `followed`).
    """
    blocks = _laid_over(model, _of_network(model))
    blocks, _, known, _ = _follow(model, blocks, perturbation.plain(model.depth))
    if not model.state_reset:
        hidden = {"hidden", *(p.name for p in model.layers.hidden)}
        for name in [name for name in blocks if name.endswith(".trial")]:
            own = _states(model) if name.partition(".")[0] in hidden else ()
            blocks[name] = render(line for line in parse(blocks[name])
                                  if not (CARRIED.match(line.name) or line.name in own))
    mistakes: list[Mistake] = []
    network = completed(model.layers, model.rule, blocks)
    for key, text in model.edits:
        try:
            apply_edit(blocks, key, text, network, model.declared)
        except EquationError as problem:
            mistakes += problem.mistakes
    if mistakes:
        raise EquationError(mistakes)
    if model.edits:
        _put_in(model, blocks, spikes=False)
        words.leave_out(blocks, model.layers, lambda name: _said(model, name))
    if model.given_network:  # what an edit says of all projections is bounded, too
        topology.bound(blocks, model.layers)
    return Entries(_tidy(blocks)), known


def _follow(model, blocks, known):
    network = completed(model.layers, model.rule, blocks)
    several = {p.name: tuple(name for name, _ in _said(model, p.neuron).receives)
               for p in model.layers.hidden}
    apart = frozenset(name for name, value in model.given.items() if assigned.differs(value))
    return paths.follow(blocks, network, model.rule, known, _gates(model), several, apart)


def _of_network(model):
    coding = model.coding or "current"
    blocks = {
        **parts.hidden(model.cell.blocks, model.reset, model.refractory > 0 * second),
        **parts.inputs(coding), **parts.readout(), **parts.error(model.feedback),
        **parts.forward(coding, model.changing),
    }
    if model.given_network:
        topology.describe(blocks, model.layers, coding, lambda name: _of_neuron(model, name))
    elif model.freeze:
        blocks.update(parts.FIXED)
    return blocks


def _of_neuron(model, name):
    """The blocks of hidden neurons of another kind."""
    return parts.hidden(model.cells[name].blocks, model.reset, model.refractory > 0 * second)


def _laid_over(model, blocks):
    """The blocks with rule, surrogate and dropout laid over them, in place."""
    neurons.check_pair(model.cell, model.rule)
    if model.given_network and not model.given_network.hidden and model.rule_name != CONTROL:
        raise InputError(f"rule {model.rule_name} teaches hidden neurons, and this network has "
                         f"none: use rule={CONTROL!r}, which is the delta rule there")
    if model.rule.branches and [p.layer for p in model.layers.hidden] != list(
            range(1, model.depth + 1)):
        raise InputError("local and intermediate count hidden layers, and the populations of "
                         "this network are no layers, one behind the other: leave them out")
    _check_hazard(model)
    if model.feedback == "reward":
        _check_reward(model)
    # What passes a synapse enters what spikes raise: where that is not u, `paths` writes it.
    if model.rule.current and ("push" not in model.rule.current or "u" in model.cell.receives):
        _keep_membranes(model, blocks)
        blocks["hidden"] = parts.with_current(blocks["hidden"], model.rule.current)
    before = dict(blocks)
    for name, text in _of_rule(model):
        lay_over(blocks, name, text, f"{model.rule_name}, {name}")
    for name, text in parts.surrogate(model.surrogate).items():
        lay_over(blocks, name, text, model.surrogate)
    if model.dropout:
        _drop(model, blocks)
    if model.given_network:
        topology.give_way(blocks, before, model.layers)
    _gate(model, blocks)  # last, so that it stands before every neuron's own psi
    _put_in(model, blocks)
    return blocks


def _keep_membranes(model, blocks):
    """Let populations where spikes raise something else keep their membranes, in place."""
    membrane = render(line for line in parse(blocks["hidden"]) if line.name == "u")
    for population in model.layers.hidden if "push" in model.rule.current else ():
        own = blocks.get(population.name, "")
        if population.neuron and "u" not in model.cells[population.neuron].receives \
                and not defines(own, "u"):
            blocks[population.name] = compose(membrane, own)


def _states(model):
    """The variables of hidden neurons that go on between trials."""
    return {name for cell in (model.cell, *model.cells.values()) for name in cell.state}


def _put_in(model, blocks, spikes=True):
    """Give the words of a neuron's file their meaning in the blocks, in place."""
    words.put_in(blocks, model.layers, lambda name: _said(model, name),
                 model.coding in (None, "current"), bool(model.dropout), model.state_reset, spikes)


def _said(model, name):
    """What hidden neurons called `name` say of their synapses; ``""``: the model's own."""
    return words.said(model.cells[name] if name else model.cell)


def _of_rule(model):
    """The rule's blocks, under the names that this network has for its layers."""
    for name, text in model.rule.blocks.items():
        if model.layers.hidden or name.partition(".")[0] not in OF_HIDDEN:
            yield from ((other, text) for other in topology.names(name, model.layers))


def _drop(model, blocks):
    """Lay dropout over the blocks, in place."""
    for name, text in parts.dropout(model.dropout, model.coding or "current").items():
        if name in blocks or name in ("hidden.trial", "forward_1.spike"):
            for other, own in topology.named(name, text, model.layers):
                lay_over(blocks, other, own, "dropout")


def _gate(model, blocks):
    """Let hidden neurons that send nothing, or cannot spike, learn nothing, in place."""
    gates, owners = _gates(model), ("hidden", *(p.name for p in model.layers.hidden))
    for name in {f"{owner}{moment}" for owner in owners for moment in ("", ".sample")} & {*blocks}:
        blocks[name] = render(
            replace(line, right=f"{gates}*({line.right})") if gates and line.name == "psi"
            and line.right else line for line in parse(blocks[name]))


def _gates(model):
    """What stands before psi: the mask of dropout, and whether a neuron may spike."""
    return "*".join(["mask"] * bool(model.dropout)
                    + ["int(not_refractory)"] * bool(model.refractory))


def _check_hazard(model):
    """Refuse a rule that reads the hazard rho with a neuron that has none."""
    if not model.cell.has("rho") and any(
            "rho" in identifiers(text) for text in model.rule.blocks.values()):
        allowed = [name for name in neurons.available() if neurons.get(name).has("rho")]
        raise InputError(f"rule {model.rule_name} needs the hazard rho, which the {model.neuron} "
                         f"neuron has not; allowed: {', '.join(allowed)}")


def _check_reward(model):
    """Refuse a rule that needs more than the reward of what was done."""
    if model.rule.gradient:
        raise InputError(f"rule {model.rule_name} follows the gradient of a loss, and where "
                         "only a reward comes back there is none: use another rule")
    if model.rule.branches:
        raise InputError("readouts of single layers (local, intermediate) compare themselves "
                         "with the target, and error='reward' tells only the reward of the "
                         "action that was taken: leave them out")
    if "window" in identifiers(model.rule.blocks.get("critic.step", "")):
        raise InputError(f"rule {model.rule_name} compares the loss under +z with that under -z "
                         "in one trial, and with error='reward' a trial has one action and "
                         "one reward: use points='one'")


def _tidy(blocks):
    """Blocks a statement a line, without those that are empty."""
    tidy = {name: text.strip() if is_expression(name) else render(parse(text, name))
            for name, text in blocks.items()}
    return {name: text for name, text in tidy.items() if text}
