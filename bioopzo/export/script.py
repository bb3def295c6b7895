"""A trained network as one Python script that needs Brian2 and NumPy, and nothing of ours.

The text in it is the one that the spiking engine hands to Brian2, in its dense form: there is one
place for that, the `Assembly`. What belongs to the engine alone is left out: numbers of its own in
place of ``rand()``, and room for further trials.
"""

import hashlib
import re
from collections.abc import Iterator
from textwrap import fill
from typing import Any

import numpy as np

from bioopzo.engines.spiking import statements
from bioopzo.engines.spiking.feed import refuse_counts, tables
from bioopzo.engines.spiking.numbers import numbered
from bioopzo.errors import InputError
from bioopzo.export.objects import Parts, call, group, heading, links, synapses
from bioopzo.export.plain import plainly, without
from bioopzo.export.values import comment, written
from bioopzo.measures.trials import before
from bioopzo.network.assembly import assemble
from bioopzo.network.clock import shape_of, time_course
from bioopzo.network.objects import SCHEDULE, names_used, synapse_texts
from bioopzo.network.spread import constants
from bioopzo.text.equations import identifiers, parse

#: Functions of the text that Brian2 does not have: what each is, in NumPy, and of which unit.
_FUNCTIONS = {
    "whole_number": ("int(x) as a real number: 1 or 0 of a condition, the whole part of a number",
                     "lambda x: np.trunc(np.asarray(x, float))", 1, "1"),
    "floor_number": ("floor(x) as a real number", "np.floor", 1, "1"),
    "ceil_number": ("ceil(x) as a real number", "np.ceil", 1, "1"),
    "copied": ("x in an array of its own", "lambda x: np.array(x, float)", 1,
               "lambda unit: unit"),
    "everywhere": ("x as a value for every neuron i",
                   "lambda x, i: np.array(np.broadcast_to(x, np.shape(i)), float)", 2,
                   "lambda unit, _: unit"),
    "erf": ("the error function", "np.vectorize(math.erf, otypes=[float])", 1, "1"),
}
_SLOTS = {
    "start": "the clock of the trials; a new trial's input and target",
    "noise": "a new perturbation, where the rule has one",
    "groups": "membranes and traces move on",
    "error": "softmax and error",
    "feedback": "what the error tells each neuron",
    "escape": "the decision to spike; the readout is read",
    "plasticity": "weights move, before any spike of this step acts",
    "thresholds": "spikes", "synapses": "what spikes do", "resets": "membranes after a spike",
    "end": "what is left",
}
#: The tables of trials, and what they hold.
_TABLES = {
    "stimulus": "what the input neurons are shown",
    "first_event": "where the list of an input neuron's spikes begins in event_step",
    "event_step": "the steps of their spikes, list behind list; -1 ends each",
    "target": "what the readout is to say",
    "course": "what changes within a trial: gate, read, sigma, window, hold, pair",
    "mask_number": "which of the courses a trial has",
}


def script(run: Any, model: Any, task: Any, samples: np.ndarray, stem: str
           ) -> tuple[str, dict[str, np.ndarray]]:
    """The script of a trained `run`, and the arrays that stand beside it, by name.

    It shows `samples` of the `task` to the network of the `model`, and reads its arrays from the
    file `stem`.npz in its own folder. Raises `InputError` for an architecture with convolutions,
    and for inputs that are counts.
    """
    if model.layout:
        raise InputError(f"{model.layout!r} is an architecture, and Brian2's network is made of "
                         "all-to-all layers only: it cannot be exported as a script")
    refuse_counts(task)
    shape = shape_of(task, len(samples))
    assembly = assemble(model, shape.duration, shape.varying, False, bool(shape.events),
                        step=shape.step, masks=shape.masks > 1)
    numbered(assembly, draws=False)
    statements.one_by_one(assembly)
    plainly(assembly)
    without(assembly.groups["trial"], "draws", "chunk")
    if not any("t_of_run" in text.links for text in assembly.groups.values()):
        without(assembly.groups["trial"], "t_of_run")
    parts = Parts(assembly, constants(assembly, model, shape), _state(assembly, run.final), model)
    parts.arrays["samples"] = np.asarray(samples)
    given = {**tables(task, shape, samples, 0), "course": time_course(model, task)}
    blocks = [_tables(parts, given, task, int(before(run.meta))), *_functions(parts),
              *(group(parts, text) for text in assembly.groups.values()), links(parts),
              *(synapses(parts, text) for text in assembly.synapses.values()),
              _monitors(parts), _run(parts), _readings(parts, task, samples)]
    body = "\n\n".join(blocks) + "\n"
    mark = _mark(body, parts.arrays)
    parts.arrays["mark"] = np.array(mark)
    return _head(parts, run.meta, task, stem, mark) + body, parts.arrays


def _mark(body, arrays):
    """What ties the script to the file of its arrays: a hash of both."""
    found = hashlib.sha256(body.encode())
    for name, array in sorted(arrays.items()):
        found.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def _state(assembly, final):
    """What of the `final` state is not zero, by object and variable; the clock begins anew."""
    found = {}
    for name, thing in (*assembly.groups.items(), *assembly.synapses.items()):
        own = {line.name for line in parse(thing.equations, name) if line.kind == "differential"
               or (line.kind == "parameter" and not {"linked", "constant"} & identifiers(
                   line.flags))}
        if getattr(thing, "refractory", ""):
            own |= {"lastspike", "not_refractory"}
        for key in sorted(own) if name != "trial" else ():
            value = final.get(f"{name}.{key}")
            if value is not None and np.any(value):
                found[f"{name}.{key}"] = np.ravel(value)
    return found


# ---------------------------------------------------------------------------- the beginning

def _head(parts, meta, task, stem, mark):
    """What the script is, what it imports, and its arrays."""
    rule, score = parts.model.rule, meta.get("test_accuracy")
    trained = (f"Trained on {meta.get('task', task.name)} for {meta.get('trials')} trials with "
               f"seed {meta.get('seed')}"
               + (f": {100 * score:.1f} % of held-out trials were decided right"
                  if score is not None else ""))
    told = [f"{rule.name}: {rule.summary}", trained]
    if meta.get("engine") == "rate":
        told.append("The weights were learned on mini-batches of the rate engine; here neurons "
                    "spike, and eta is that of the text")
    learns = f", python {stem}.py --plastic lets it learn in them"
    plastic = 'int("--plastic" in sys.argv)  # 1: the network goes on learning'
    if rule.gradient:
        told.append("The rule follows the gradient of a whole trial, which Brian2 does not have: "
                    "nothing is learned here")
        learns, plastic = "", "0"
    slots = "\n".join(f"    {slot:<12}{_SLOTS[slot]}" for slot in SCHEDULE)
    about = "\n".join(fill(f"{comment(line)}.", 96) for line in told)
    stem = stem if re.fullmatch(r"[\w.-]+", stem, re.ASCII) else "script"
    modules = ["import math"] * ("math." in " ".join(_FUNCTIONS[f][1] for f in _used(parts)))
    modules += ["import sys", "from pathlib import Path", "", "import numpy as np"]
    known = meta.get("versions", {})
    versions = ", ".join(f"{name} {comment(known[name])}" for name in ("bioopzo", "brian2", "numpy")
                         if name in known)
    names = ", ".join(sorted(parts.imports, key=str.lower))
    imported = fill(names, 96, initial_indent="    ", subsequent_indent="    ")
    return f'''"""A trained spiking network in Brian2.

{about}

Written by bioopzo; the run was made with {versions}.
It needs brian2, numpy and the arrays in {stem}.npz.
python {stem}.py shows trials to the network{learns}.
Spikes that are drawn are drawn by Brian2: other seeds, other spikes.

What happens in a step of time, slot after slot:
{slots}
"""

{chr(10).join(modules)}
from brian2 import (
{imported},
)

plastic = {plastic}
prefs.codegen.target = "numpy"
seed({int(meta.get("seed") or 0)})

arrays = Path(__file__).with_suffix(".npz")
with np.load(arrays) as file:
    data = dict(file)
if str(data["mark"]) != "{mark}":
    sys.exit(f"{{arrays.name}} belongs to another script: export both again")

'''


def _tables(parts, given, task, trained):
    """The trials as tables of time, from which the text reads."""
    used = _words(parts)
    step, unit = written(float(task.dt), "second")
    parts.imports.add(unit)
    lines = [*heading("The trials, one after the other, as tables of time"),
             f"dt = {step}", f"duration = {task.steps}*dt",
             'samples = data["samples"]  # which trials of the task are shown',
             "trials = len(samples)",
             "step_clock, trial_clock = Clock(dt=dt), Clock(dt=duration)",
             "names = {  # what the text of the objects below may call"]
    for name, about in _TABLES.items():
        if name in given and name in used:
            parts.arrays[name] = given[name]
            lines += [f"    # {about}",
                      f'    "{name}": TimedArray(data["{name}"], dt=dt, name="{name}"),']
    lines += ["    # whether the network learns in a trial", '    "schedule": '
              'TimedArray(np.full(trials, float(plastic)), dt=dt, name="schedule"),']
    if "trials_before" in used:
        lines += ["    # how many trials of training went before", '    "trials_before": '
                  f"TimedArray({trained} + plastic*np.arange(trials), dt=dt, "
                  'name="trials_before"),']
    return "\n".join([*lines, "}"])


def _words(parts):
    """Every word of the text."""
    found: set[str] = set()
    for text in parts.assembly.groups.values():
        found |= names_used(text)
    for synapse in parts.assembly.synapses.values():
        found |= set().union(*map(identifiers, synapse_texts(synapse)))
    return found


def _used(parts):
    """The functions of the text that Brian2 does not have."""
    return [name for name in _FUNCTIONS if name in _words(parts)]


def _functions(parts: Parts) -> Iterator[str]:
    """The block that makes them, where there are any."""
    if not _used(parts):
        return
    parts.imports.add("Function")
    lines = [*heading("Functions of the text that Brian2 does not have"),
             "def known(function, arguments, unit):",
             "    made = Function(function, arg_units=[None]*arguments, return_unit=unit,",
             '                    arg_types=["any"]*arguments, return_type="float",',
             "                    stateless=True)",
             '    made.implementations.add_implementation("numpy", function)',
             "    return made", "", ""]
    for name in _used(parts):
        about, code, count, unit = _FUNCTIONS[name]
        lines += [f"# {about}", f'names["{name}"] = known({code}, {count}, {unit})']
    yield "\n".join(lines)


# ---------------------------------------------------------------------------- the end

def _monitors(parts):
    """What is read, the network, and the state of its neurons."""
    assembly = parts.assembly
    lines = heading("What is read: where a trial begins, what the one before has left")
    for name, owner, read in (("decisions", "readout", "decision"), ("costs", "error", "cost")):
        lines.append(call(f"{name} = StateMonitor", [
            parts.variable(assembly.network.of(owner)[0].name), f'"{read}"', "record=True",
            "clock=trial_clock", 'when="start"', "order=-20", f'name="trial_{read}"']))
    lines.append(call("network = Network", [
        *map(parts.variable, (*assembly.groups, *assembly.synapses)), "decisions", "costs"]))
    lines.append("network.schedule = [" + ", ".join(f'"{slot}"' for slot in SCHEDULE[:6]) + ",")
    lines.append(" " * 20 + ", ".join(f'"{slot}"' for slot in SCHEDULE[6:]) + "]")
    return "\n".join(lines)


def _run(parts):
    """The state of the neurons, and the run."""
    states = {f"state/{key}": value for key, value in parts.state.items()
              if key.split(".")[0] in parts.assembly.groups}
    parts.arrays.update(states)
    lines = heading("Membranes, traces and running statistics as training has left them; trials")
    if states:
        lines += ["for name, value in data.items():", '    if name.startswith("state/"):',
                  '        owner, variable = name.removeprefix("state/").split(".")',
                  "        network[owner].variables[variable].set_value(value)"]
    return "\n".join([*lines, "network.run(trials*duration, namespace=names)"])


def _readings(parts, task, samples):
    """What the readout said."""
    readout, error = (parts.variable(parts.assembly.network.of(kind)[0].name)
                      for kind in ("readout", "error"))
    lines = [
        f"decision = np.vstack([decisions.decision.T[1:], {readout}.decision[:]])  "
        "# (trials, readouts)",
        f"loss = np.vstack([costs.cost.T[1:], {error}.cost[:]]).sum(axis=1)"]
    if task.labels is None:
        lines += ["for k in range(trials):",
                  '    print(f"sample {samples[k]}: the readout is {np.round(decision[k], 3)}, '
                  'the loss {loss[k]:.4f}")',
                  'print(f"mean loss {loss.mean():.4f} over {trials} trials")']
    else:
        parts.arrays["labels"] = task.labels[samples]
        lines += ["choice = decision.argmax(axis=1)", 'right = choice == data["labels"]',
                  "for k in range(trials):",
                  "    print(f\"sample {samples[k]}: {choice[k]} is decided, and it is "
                  "{data['labels'][k]}\")",
                  'print(f"accuracy {100*right.mean():.1f} % of {trials} trials, mean loss '
                  '{loss.mean():.4f}")']
    return "\n".join(lines)
