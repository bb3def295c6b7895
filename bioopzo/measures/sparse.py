"""Sparse learning: neurons whose psi is 0 learn nothing, and what leaving them out saves.

A three-factor rule changes a weight by xbar_i*psi_j*g_j. Where psi_j is exactly 0 in a step, none
of the synapses onto neuron j has to be touched, its modulator g_j is not needed, and nothing goes
back through it.

Source: Mukhoty et al. 2023 (LocalZO), who compute the backward pass for active neurons alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bioopzo.arguments import whole_number
from bioopzo.errors import InputError
from bioopzo.measures.rate import freeze
from bioopzo.measures.trials import attached
from bioopzo.network.clock import COLUMNS
from bioopzo.network.draft import text_of
from bioopzo.network.kinds import kind_of, moments_of
from bioopzo.text.equations import parse
from bioopzo.text.influence import expanded
from bioopzo.text.symbols import as_sympy

#: What is 1 while a neuron's psi is not 0: a variable that is put beside it.
_LEARNS = "psi_is_there"


@dataclass(frozen=True)
class Sparsity:
    """How much of what a population learns is needed.

    `share` (steps,) is the share of its neurons whose psi is not 0, by step of the trial;
    `operations` are the multiplications and additions of learning in a trial for those neurons
    alone, `dense` those for all.
    """

    share: np.ndarray
    operations: float
    dense: float


def learning_operations(run: Any, trials: int = 64, seed: int = 0, split: str = "test",
                        **given: Any) -> dict[str, Sparsity]:
    """The share of neurons that learn, and the synaptic operations of learning that it leaves.

    Counted in the steps of a trial in which there is an error: one operation for each synapse onto
    a neuron whose weight changes, and one for each synapse through which its modulator comes,
    feedback or, in backpropagation, the weights to the layer above; there only neurons of which
    both ends have psi count. The readout has no psi and learns with all its synapses. What else
    happens in each step, traces, feedback that learns, is the same for sparse and dense, and left
    out. Neurons that dropout silences have no psi.

    `trials` of the task's `split`, which `seed` draws, are shown to the network of a `run` with
    plasticity on, as one batch, with its final weights (``run.at(0)``: untrained); further keywords
    are those of `measures.rate.freeze`. Returns ``{"hidden_1": Sparsity, ..., "readout": ...}``.

    Raises `InputError` for a rule in which a neuron without psi learns all the same, and for a
    projection of a kind of one's own that learns.
    """
    attached(run)
    trials = whole_number("trials", trials)
    model = run.model.for_task(run.task)
    _check(model)
    hidden = model.network.hidden
    changes = {}
    for population in hidden:
        for moment, line in (("", f"{_LEARNS} : 1"), (".step", f"{_LEARNS} = int(psi != 0)")):
            block = f"{population.name}{moment}"
            changes[block] = f"{model.blocks.get(block, '')}\n{line}"
    frozen = freeze(run, model.edit(changes), 1, seed, split, **{**given, "batch": trials})
    names = {population.name: f"{population.name}.{_LEARNS}" for population in hidden}
    masks = frozen.masks[frozen.samples]
    found = frozen.engine.record(tuple(names.values()), frozen.inputs[frozen.samples],
                                 frozen.targets[frozen.samples], True, masks)
    steps = frozen.engine.shape.steps
    shown = frozen.engine.course.reshape(-1, steps, len(COLUMNS))[:, :, COLUMNS.index("gate")] != 0
    # (steps, trials), or the same for all of them.
    shown = shown[0][:, None] if masks is None else shown[masks].T
    active = {name: found[key].mean(axis=2) for name, key in names.items()}
    return _counted(model, active, shown)


def _counted(model, active, shown):
    """A `Sparsity` for each population, of the `active` shares (steps, trials) of hidden ones."""
    network, result = model.network, {}
    when = np.broadcast_to(shown, next(iter(active.values())).shape)
    length = float(when.sum(axis=0).mean())

    def entry(share, sparse, dense):
        return Sparsity(share, float((sparse * when).sum(axis=0).mean()), dense * length)

    for population in network.hidden:
        size, share = population.size, active[population.name]
        onto = sum(p.connection.fan_in for p in network.into(population.name)
                   if p.kind in ("forward", "feedback", "intermediate"))
        sparse, dense = size * onto * share, size * onto
        for p in network.out_of(population.name):
            local = p.kind == "forward_local" and "g_local" in text_of(model.blocks, p)
            if local or ("backward" in model.blocks and kind_of(p.kind).backward
                         and network.ahead(p)):
                back = size * p.connection.fan_out
                sparse, dense = sparse + back * share * active.get(p.target, 1.0), dense + back
        result[population.name] = entry(share.mean(axis=1), sparse, dense)
    readout = network.readout
    every = readout.size * sum(p.connection.fan_in for p in network.into(readout.name)
                               if p.kind == "forward_readout")
    result[readout.name] = entry(np.ones(len(when)), np.full(when.shape, float(every)), every)
    return result


def _check(model):
    """Refuse a text in which a weight moves by its modulator without psi, or in a kind unknown."""
    known = model.network.of("forward", "forward_readout", "fixed", "fixed_readout")
    for projection in model.network.predicting:
        if projection not in known and any(
                line.name == "w" and line.kind in ("differential", "statement")
                for moment in moments_of(projection.kind)
                for line in parse(text_of(model.blocks, projection, moment))):
            raise InputError(f"{projection.name} learns, and what a kind of projection of one's "
                             f"own ({projection.kind}) costs is not known: counted are forward "
                             "synapses, feedback, and readouts of single layers")
    for projection in model.network.of("forward"):
        lines = {line.name: line for line in parse(text_of(model.blocks, projection))}
        rate = lines.get("w")
        text = "" if rate is None or rate.kind != "differential" else expanded(rate.right, lines)
        symbols = {str(s): s for s in as_sympy(text).free_symbols} if text else {}
        rest = as_sympy(text).subs(symbols["psi_post"], 0) if "psi_post" in symbols else None
        if rest is None or any(str(s).startswith("g_") for s in rest.free_symbols):
            raise InputError(f"{projection.name} of rule {model.rule_name} has no psi before what "
                             "its weights learn in a step, so no neuron can be left out: that is "
                             "for rules such as bp, opzo, dfa and dkp, dw/dt = -eta*eligibility*"
                             "g_post")
