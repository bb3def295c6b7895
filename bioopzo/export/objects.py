"""Objects of a network as the lines of a script that make them in Brian2."""

import keyword
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from textwrap import indent
from typing import Any

import brian2 as b2
import numpy as np

from bioopzo.export.values import block, comment, quoted, word, written
from bioopzo.network.connections import Sparse
from bioopzo.network.kinds import kind_of
from bioopzo.network.objects import Assembly, GroupText, SynapseText, method
from bioopzo.network.symbols import GIVEN, SYMBOLS
from bioopzo.text.equations import parse, render

#: Names of the script's own, which no object in it may have.
TAKEN = {"Path", "arrays", "choice", "costs", "data", "decision", "decisions", "dt", "duration",
         "file", "float", "input", "k", "known", "loss", "math", "name", "names", "network", "np",
         "owner", "plastic", "print", "range", "right", "samples", "step_clock", "str", "sys",
         "trial_clock", "trials", "value", "variable"}
#: What every script takes from Brian2.
OF_BRIAN2 = {"Clock", "Network", "NeuronGroup", "StateMonitor", "Synapses", "TimedArray", "prefs",
             "seed"}
#: Variables and what they are, in few words: a comment has one line.
_MEANING = {
    **{name: symbol.meaning.partition(":")[0] for name, symbol in SYMBOLS.items()}, **GIVEN}
_RULE = f"# {'-' * 70}"
#: How long a line of a call may be.
_WIDTH = 96


@dataclass
class Parts:
    """A script in the making.

    `values` and `state` hold constants and variables by ``"object.variable"``; `imports` are names
    from Brian2, `arrays` what is to stand in the file beside the script.
    """

    assembly: Assembly
    values: Mapping[str, Any]
    state: Mapping[str, np.ndarray]
    model: Any
    imports: set[str] = field(default_factory=lambda: set(OF_BRIAN2))
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def variable(self, name: str) -> str:
        """What the object called `name` is called in the script: the same, unless it is taken."""
        others = {*self.assembly.groups, *self.assembly.synapses} - {name}
        found = word(name)
        while found in TAKEN | others or keyword.iskeyword(found) or hasattr(b2, found):
            found += "_"
        return found


def heading(*lines: str) -> list[str]:
    """`lines` of a comment below a rule."""
    return [_RULE, *(f"# {comment(line)}" for line in lines)]


def call(function: str, arguments: list[str]) -> str:
    """The call of a `function`, its `arguments` one behind the other in lines of a page."""
    lines, line = [], f"{function}("
    for k, part in enumerate(arguments):
        part += ")" if k == len(arguments) - 1 else ", "
        if len(line) + len(part.partition("\n")[0].rstrip()) > _WIDTH and not line.endswith("("):
            lines.append(line.rstrip())
            line = "    "
        *whole, line = f"{line}{part}".split("\n")
        lines += whole
    return "\n".join([*lines, line])


def _text(text):
    """A text as a string of Python, of one line or several."""
    return block(text, indent(text, "    ")) if "\n" in text else quoted(text)


def _explained(equations):
    """Equations with a comment beside what every network has, and what the clock gives."""
    for line in parse(equations):
        about = _MEANING.get(line.name)
        yield f"{line}  # {about}" if about else str(line)


def group(parts: Parts, text: GroupText) -> str:
    """The lines that make the neurons of a `text`."""
    name = parts.variable(text.name)
    arguments = [str(text.size), _text("\n".join(_explained(text.equations)))]
    arguments += [f"threshold={_text(text.threshold)}"] if text.threshold else []
    arguments += [f"reset={_text(text.reset)}"] if text.reset else []
    arguments += [f"refractory={quoted(text.refractory)}"] if text.refractory else []
    if text.events:
        conditions = (f"{quoted(event.name)}: {quoted(event.condition)}" for event in text.events)
        arguments.append(f"events={{{', '.join(conditions)}}}")
    arguments += [f'method="{method(text)}"', "clock=step_clock", f"name={quoted(text.name)}"]
    lines = [*heading(_about(parts, text)), call(f"{name} = NeuronGroup", arguments)]
    for event in text.events:
        lines.append(f"{name}.set_event_schedule({quoted(event.name)}, "
                     f"when={quoted(event.when)}, order={event.order})")
        if event.text:
            lines.append(call(f"{name}.run_on_event", [
                quoted(event.name), _text(event.text), f"when={quoted(event.when)}",
                f"order={event.order + 1}"]))
    return "\n".join([*lines, *_codes(text, name), *_constants(parts, text, name)])


def _about(parts, text):
    """What a group is, in a line."""
    if text.kind == "trial":
        return "trial: the clock of the trials, which all others read"
    title = kind_of(text.kind).title.lower()
    if text.kind == "hidden":
        neuron = parts.model.network[text.name].neuron or parts.model.neuron
        return f"{text.name}: {text.size} {title} ({neuron})"
    size = f"{text.size} unit{'s' * (text.size > 1)}"
    return f"{text.name}: {size}" if title == text.name else f"{text.name}: {title}, {size}"


def links(parts: Parts) -> str:
    """The lines that let groups read each other, neuron by neuron; empty where none does."""
    lines = [f"{parts.variable(name)}.{word(mine)} = linked_var({parts.variable(other)}, "
             f"{quoted(theirs)})" for name, text in parts.assembly.groups.items()
             for mine, (other, theirs) in text.links.items()]
    parts.imports |= {"linked_var"} if lines else set()
    return "\n".join([*heading("What the groups above read of each other"), *lines])


def _codes(thing, name):
    for code in thing.codes:
        yield call(f"{name}.run_regularly", [
            _text(code.text), f"clock={code.clock}_clock", f"when={quoted(code.when)}",
            f"order={code.order}", f"name={quoted(f'{thing.name}_{code.name}_{code.clock}')}"])


def _constants(parts, thing, name):
    """The parameters of an object, each with its unit and what it is."""
    meanings = {**{key: told.meaning for key, told in parts.model.declared.items()},
                "steps": "steps of a trial", "rows": "trials that are shown",
                "refractory_period": "time after a spike without another"}
    for key, unit in thing.constants.items():
        place, value = f"{thing.name}.{key}", parts.values[f"{thing.name}.{key}"]
        about = meanings.get(key, "")
        if np.ndim(value):
            parts.arrays[place] = value
            yield _said(f"{name}.{word(key)}_ = data[{quoted(place)}]",
                        f"one for each neuron, unit {unit}: {about}")
            continue
        if key == "rows" or unit == "integer":
            text, imported = "trials" if key == "rows" else str(int(value)), ""
        else:
            text, imported = written(value, unit)
        parts.imports |= {imported} - {""}
        bare = not imported and unit not in ("1", "integer")
        yield _said(f"{name}.{word(key)}{'_' * bare} = {text}",
                    ", ".join(filter(None, [about, f"unit {unit}" * bare])))


def _said(line, about):
    """A line with a comment beside it, or above it where that would be long."""
    about = comment(about)
    if not about:
        return line
    return f"{line}  # {about}" if len(line) + len(about) < _WIDTH else f"# {about}\n{line}"


def synapses(parts: Parts, text: SynapseText) -> str:
    """The lines that make the synapses of a `text`, with what they have learned."""
    name, connection = parts.variable(text.name), text.connection
    sparse = isinstance(connection, Sparse)
    which = f"{connection.synapses} of {connection.pre*connection.post} pairs" if sparse else \
        "all to all"
    lines = heading(f"{text.name}: {kind_of(text.kind).title.lower()}",
                    f"{text.source} -> {text.target}, {which}")
    lines.append(call(f"{name} = Synapses", list(_arguments(parts, text))))
    for path in text.pathways:
        pathway = f"{name}.{word(path.name)}"
        lines.append(f"{pathway}.when, {pathway}.order = {quoted(path.when)}, {path.order}")
    for summed, (when, order) in text.sums.items():
        updater = f"{name}.summed_updaters[{quoted(summed)}]"
        lines += [f"{updater}.when = {quoted(when)}", f"{updater}.order = {order}"]
    if any(line.kind == "differential" for line in parse(text.equations, text.name)):
        lines.append(f'{name}.state_updater.when = "plasticity"')
    lines += _codes(text, name)
    if sparse:
        for side, neurons in zip("ij", np.nonzero(connection.mask)):
            parts.arrays[f"{text.name}.{side}"] = neurons
        i, j = (quoted(f"{text.name}.{side}") for side in "ij")
        lines.append(f"{name}.connect(i=data[{i}], j=data[{j}])")
    else:
        lines.append(f"{name}.connect()")
    lines += _constants(parts, text, name)
    for place, values in parts.state.items():
        owner, _, key = place.partition(".")
        if owner == text.name:
            every_pair = sparse and np.size(values) == connection.mask.size
            parts.arrays[place] = connection.gathered(values) if every_pair else values
            lines.append(f"{name}.{word(key)}_ = data[{quoted(place)}]")
    return "\n".join(lines)


def _arguments(parts, text):
    """What `Synapses` is given."""
    yield from map(parts.variable, (text.source, text.target))
    lines = [replace(x, flags="(clock-driven)") if x.kind == "differential" and not x.flags else x
             for x in parse(text.equations, text.name)]
    if lines:
        yield _text(render(lines))
    for side in ("pre", "post"):
        paths = [f"{quoted(p.name)}: {_text(p.text)}" for p in text.pathways if p.side == side]
        between = ", " if len(", ".join(paths)) < _WIDTH // 2 else ",\n" + " " * 8
        if paths:
            yield f"on_{side}={{{between.lstrip(', ')}{between.join(paths)}}}"
    if text.pathways:
        events = (f"{quoted(p.name)}: {quoted(p.happening)}" for p in text.pathways)
        yield f"on_event={{{', '.join(events)}}}"
    yield from ('method="euler"', "clock=step_clock", f"name={quoted(text.name)}")
