"""What stands still in trials without plasticity, though activity depends on it.

A neuron's running statistics and what synapses keep are taken for results of training, which an
evaluation does not change (`network.learning`). Whoever writes adaptation or short-term plasticity
that way would test another network than the one that was written.
"""

from collections.abc import Iterator
from typing import Any

from bioopzo.checks.influence import INFLUENCED
from bioopzo.checks.whole import Text
from bioopzo.network.assembly import assemble
from bioopzo.network.objects import Assembly
from bioopzo.text.equations import parse


def standing(model: Any, text: Text) -> Iterator[str]:
    """Remarks on a model's variables that may be meant to move in every trial."""
    small = assemble(model.shrunk(), lazy=False)
    statistics = [key for key in sorted(small.roles.statistics) if text.moves(key)]
    yield from _said(statistics, "a running statistic, since it only ever changes relative to "
                     "itself", "write d{word}/dt = ..., or let it begin anew: ")
    taught = text.taught()
    kept = [key for key in sorted(small.roles.learned)
            if key.partition(".")[2] not in ("w", model.rule.matrix) and _changes(small, key)
            and taught.get(key, 0) < INFLUENCED and text.moves(key)]
    yield from _said(kept, "learned, since no line lets it begin anew", "let it: ")


def _said(keys, what, remedy):
    """One remark for each word among the keys ``"object.word"``."""
    for word in dict.fromkeys(key.partition(".")[2] for key in keys):
        owners = ", ".join(name for name, _, other in (key.partition(".") for key in keys)
                           if other == word)
        yield (f"{word} of {owners} is taken for {what}: it goes on from trial to trial and stays "
               "as it is in trials without plasticity, though the readout depends on it. Where it "
               f"is to move in every trial, {remedy.format(word=word)}'{word} = 0', or another "
               "number, in a block '.trial'")


def _changes(assembly: Assembly, key: str) -> bool:
    """Whether a synaptic variable changes within a trial."""
    name, _, word = key.partition(".")
    synapse = assembly.synapses[name]
    return any(line.kind == "differential" and line.name == word
               for line in parse(synapse.equations, name)) or any(
        line.name == word for path in synapse.pathways for line in parse(path.text, name))
