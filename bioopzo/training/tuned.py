"""Learning rates that were found by search, by task and rule."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from typing import Any

from brian2.units.fundamentalunits import Quantity, get_unit

from bioopzo import rules
from bioopzo.model import Model
from bioopzo.run import Run
from bioopzo.text.entries import Entries

FILE = "data/tuned.json"


class Tuned(Entries[Any]):
    """Parameters that a search found, name -> value with its unit; `entry` says how, as JSON does.

    `trials` is what every candidate of the search came to: ``parameters`` in base units, ``scores``
    by seed (None: values ran away), and whether it was ``pruned`` after its first.

    ``model.edit(found)`` takes them, and ``compare(..., tuned={"opzo": found})``.
    """

    def __init__(self, parameters: Mapping[str, Any], entry: Mapping[str, Any],
                 trials: Iterable[Mapping[str, Any]] = ()) -> None:
        super().__init__(parameters)
        self.entry, self.trials = dict(entry), [dict(one) for one in trials]

    def __repr__(self):
        edge = self.entry["at_edge"]
        return "\n".join([super().__repr__(), f"validation {self.entry['validation']:.4f}, "
                          f"{self.entry['candidates']} candidates"] + [
                              f"at the edge of its range: {', '.join(edge)}"] * bool(edge))


def key_of(model: Model) -> str:
    """The name under which a model's tuned values are kept: the rule and its changed options.

    With a hash of its network, where that is no list of layers.
    """
    known = model.rule_name in rules.available()  # a rule added in another process is not
    usual = rules.options(model.rule_name) if known else {}
    changed = [f"{k}={v}" for k, v in sorted(model.options.items())
               if k not in usual or usual[k] != v]
    network = model.given_network
    wiring = f"@{hashlib.sha256(repr(network).encode()).hexdigest()[:8]}" if network else ""
    return model.rule_name + (f"[{','.join(changed)}]" if changed else "") + wiring


def table() -> dict[str, Any]:
    """The whole data file: task -> key -> entry, or task -> another task whose entries it takes."""
    path = resources.files("bioopzo") / FILE
    return json.loads(path.read_text()) if path.is_file() else {}


def tuned_parameters(task: str, model: Model) -> dict[str, Any]:
    """Tuned values for a model on a task: name -> quantity; empty when none were searched.

    A variant of a rule that was not searched by itself uses the rule's own values, but for what has
    another default in it (the size of a perturbation before the neuron), and so does a network of
    another shape, but not a recurrent one: what it learns from its own neurons is much more than
    what those values were found with.
    """
    entries = entries_of(table(), task)
    key = key_of(model)
    near = [key.partition("@")[0], model.rule_name] if not model.layers.recurrent else []
    found = next((name for name in [key, *near] if name in entries), None)
    if found is None:
        return {}
    own = model.rule.parameters
    usual = rules.get(found, max(1, model.depth)).parameters if found == model.rule_name else own
    return {name: with_unit(value, model.declared[name].default)
            for name, value in entries[found]["parameters"].items() if name in model.declared
            and (name not in usual or name not in own or usual[name].default == own[name].default)}


def untuned(task: str, model: Model) -> list[str]:
    """The learning rates of a model that nobody chose for a task: neither a search nor the user.

    They are defaults, or follow from the task's trials (see `network.regime`).
    """
    chosen = {*tuned_parameters(task, model), *model.given}
    read = {word for text in model.blocks.values() for word in re.findall(r"\w+", text)}
    return [name for name in ("eta", "eta_o") if name in read - chosen]


def note_untuned(run: Run, announce: Callable[[str], object] | None = None) -> None:
    """Let a run say which of its learning rates are `untuned`, and tell who listens."""
    task, names = run.meta["task"], untuned(run.meta["task"], run.model)
    run.meta["untuned"] = names
    if not names:
        return
    run.meta["learning_rates"] += f", not tuned for {task}"
    if announce:
        announce(f"{run.meta['rule']}: {' and '.join(names)} were not tuned for {task}, as "
                 "bioopzo tune does")


def entries_of(content: Mapping[str, Any], task: str) -> dict[str, Any]:
    """The entries of a task in the whole data file, its own or those it takes: key -> entry."""
    entries = content.get(task, {})
    return content[entries] if isinstance(entries, str) else entries


def with_unit(value: float, like: object) -> Any:
    """A number in base units as a quantity like `like`."""
    return value * get_unit(like.dim) if isinstance(like, Quantity) else value
