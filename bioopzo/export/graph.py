"""A trained network as a graph in NIR, the neuromorphic intermediate representation.

NIR (Pedersen et al. 2024, Nature Communications 15, 8122) has leaky integrate-and-fire neurons,
leaky integrators, linear maps and delays. What a network does in a trial without plasticity is
read off its text, line by line: whatever moves a membrane, a spike or the readout is one of these,
or it is refused.
"""

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy

from bioopzo import neurons
from bioopzo.checks.whole import Text
from bioopzo.errors import InputError, ModelWarning
from bioopzo.network.assembly import assemble
from bioopzo.network.clock import masks_of, shape_of
from bioopzo.network.objects import Assembly, synapse_texts
from bioopzo.network.spread import constants
from bioopzo.show.exports import optional
from bioopzo.text.equations import parse
from bioopzo.text.symbols import as_sympy

#: How a membrane and the readout move while nothing is perturbed.
MEMBRANES, READOUTS = ("(b + drive - u)/tau_m",), ("-o/tau_o", "(drive - o)/tau_o")
#: Decisions to spike: the deterministic one, and that by a hazard.
DECIDED, DRAWN = "int(u > theta)", "int(rand() < chance)"
#: What synapses add, in which w may be kept within bounds.
_SPIKE, _CURRENT = "w", "w*x_pre"


@dataclass
class Net:
    """A network as NIR sees it: its text, the values of its constants, the state, the step dt."""

    assembly: Assembly
    values: dict[str, Any]
    final: Any
    dt: float
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)


def graph(run: Any, model: Any, task: Any) -> Any:
    """The `nir.NIRGraph` of a trained `run`, of its `model` and `task`.

    Nodes are called after populations and projections. A hidden population is a ``LIF`` (tau,
    v_threshold, v_leak the constant drive b), the readout an ``LI``, a projection a ``Linear`` with
    the weights as they act, (target, source), behind a ``Delay`` where it has one. A spike is 1 for
    one step dt, and r = tau/dt, so that it moves the membrane by w; a constant current passes a
    ``Scale`` by 1/r where the neuron gets spikes too, else r = 1. `metadata` of the graph: dt,
    duration and warm-up (seconds), coding, rule, task, and of a LIF: reset and hazard.

    Warns (`ModelWarning`) where NIR's neuron is not quite the network's: its spike is
    deterministic, and its reset sets the membrane. Raises `InputError` for what NIR cannot say.
    """
    nir = optional("nir", "an export to NIR")
    if model.layout:
        raise _not_in_nir(f"the architecture {model.layout!r}")
    if float(model.refractory):
        raise _not_in_nir(f"refractory={model.refractory}")
    if "intact" in model.given:
        raise _not_in_nir("silenced neurons (intact)")
    model = model.replace(dropout=0.0)  # nothing is silenced once the network has learned
    _check_statements(model)
    shape = shape_of(task, 1)
    assembly = assemble(model, shape.duration, shape.varying, False, bool(shape.events),
                        step=shape.step, masks=shape.masks > 1)
    net = Net(assembly, constants(assembly, model, shape), run.final, float(task.dt))
    network = model.network
    net.nodes[network.input.name] = nir.Input(np.array([network.input.size]))
    for population in network.layers[1:]:
        _neuron(nir, net, model, population)
    for synapse in assembly.synapses.values():
        if synapse.target in [population.name for population in network.layers[1:]]:
            _projection(nir, net, network, synapse)
    end = "output" if "output" not in net.nodes else "output_"
    net.nodes[end] = nir.Output(np.array([network.readout.size]))
    net.edges.append((network.readout.name, end))
    _warn(net)
    return nir.NIRGraph(net.nodes, net.edges, metadata=_about(run, model, task))


def _check_statements(model):
    """Refuse statements other than the network's own on what moves the readout: NIR has none.

    Those on membranes and spikes are looked at one by one, see `_neuron`.
    """
    mine, usual = Text(model), Text(model.plain())
    for population in model.network.layers:
        name = population.name
        written, known = ({str(line): line for statement, line in text.every_line(name)
                           if statement} for text in (mine, usual))
        for changed in sorted(written.keys() ^ known.keys()):
            line = (written | known)[changed]
            if line.name not in ("u", "o", "S") and mine.moves(f"{name}.{line.name}"):
                raise _not_in_nir(f"{line}{' left out' * (changed in known)}, of {name}")


def _not_in_nir(what):
    return InputError(f"NIR cannot say {what}: it has leaky integrate-and-fire neurons, linear "
                      "maps and delays")


def _about(run, model, task):
    """What is to be known of the graph."""
    first = masks_of(task)[0].argmax(axis=1).min()
    told = {"dt": float(task.dt), "duration": float(task.duration),
            "warmup": float(first * task.dt), "coding": task.coding, "task": task.name,
            "rule": model.rule_name, "digest": model.digest,
            "discretisation": "a spike is 1 for one step dt, and r*dt/tau = 1; per step: "
            "v = v_leak + (v - v_leak)*exp(-dt/tau), spikes where v > v_threshold, then what they "
            "add, then resets"}
    if task.coding == "poisson":
        told["input_rate"] = float(task.input_rate)
    return told | {name: int(run.meta[name]) for name in ("trials", "seed") if name in run.meta}


def _warn(net):
    """Say where NIR's neurons are not quite those of the network."""
    told = [node.metadata for node in net.nodes.values() if node.metadata]
    hazards = sorted({one["hazard"] for one in told if "hazard" in one})
    if hazards:
        warnings.warn(f"NIR's neurons spike where v > v_threshold: the hazard ({', '.join(hazards)}"
                      ") is left out, and stands in metadata; train with neuron='deterministic' "
                      "for a network that is the same there", ModelWarning, stacklevel=5)
    if any(one.get("reset") == "subtract" for one in told):
        warnings.warn("NIR's LIF sets the membrane to v_reset: that a spike takes theta from it "
                      "stands in metadata (reset: subtract), which programs may pass over; train "
                      "with reset='hard' for a network that is the same there", ModelWarning,
                      stacklevel=5)


# ---------------------------------------------------------------------------- neurons

def _neuron(nir, net, model, population):
    """Put the node of a hidden population or of the readout into the graph."""
    name = population.name
    hidden = population.kind == "hidden"
    variable, rights, tau = ("u", MEMBRANES, "tau_m") if hidden else ("o", READOUTS, "tau_o")
    _check_moves(net, name, variable, rights)
    own = {line for moment, line in _statements(net, name) if line.name == variable
           and moment != "reset"}
    wrong = [line for line in own if (line.operator, line.right) != ("=", "0")]
    if wrong:
        raise _not_in_nir(f"{wrong[0]}, of {name}")
    sizes = population.size
    tau = _values(net, name, tau, sizes)
    spikes = any(_lines_onto(net, synapse, variable) for synapse in _onto(net, name))
    shared = {"tau": tau, "r": tau / net.dt if spikes else np.ones(sizes)}
    if not hidden:
        net.nodes[name] = nir.LI(v_leak=np.zeros(sizes), **shared)
        return
    reset, value = _reset(net, name, sizes)
    told = {"reset": reset} | _hazard(net, model, population)
    net.nodes[name] = nir.LIF(
        v_leak=_values(net, name, "b", sizes), v_reset=value, metadata=told,
        v_threshold=_values(net, name, "theta", sizes), **shared)


def _values(net, name, key, size):
    """A constant of a population, one for each neuron."""
    if f"{name}.{key}" not in net.values:
        raise _not_in_nir(f"a {key} that is no constant, of {name}")
    return np.broadcast_to(np.asarray(net.values[f"{name}.{key}"], float), size).copy()


def _statements(net, name):
    """Every statement of a population, with its moment."""
    group = net.assembly.groups[name]
    yield from (("reset", line) for line in parse(group.reset))
    for code in group.codes:
        yield from ((code.name, line) for line in parse(code.text))
    for event in group.events:
        yield from ((event.name, line) for line in parse(event.text))


def _check_moves(net, name, variable, rights):
    """Refuse an equation of a membrane or readout that is not NIR's, where sigma is 0."""
    line = next((line for line in parse(net.assembly.groups[name].equations)
                 if line.name == variable and line.kind == "differential"), None)
    if line is None:
        raise _not_in_nir(f"a population without {variable}, {name}")
    found = as_sympy(line.right).subs(as_sympy("sigma"), 0)
    if all(sympy.simplify(found - as_sympy(right)) != 0 for right in rights):
        raise _not_in_nir(f"{line}, of {name}")


def _reset(net, name, size):
    """What a spike does to the membrane: the word for it, and v_reset."""
    lines = [line for moment, line in _statements(net, name)
             if moment == "reset" and line.name == "u"]
    if len(lines) == 1:
        line = lines[0]
        if (line.operator, line.right) == ("-=", "theta"):
            return "subtract", np.zeros(size)
        if line.operator == "=":
            if f"{name}.{line.right}" in net.values:
                return "set", _values(net, name, line.right, size)
            try:
                return "set", np.full(size, float(line.right))
            except ValueError:
                pass
    raise _not_in_nir(f"the reset {'; '.join(map(str, lines)) or 'of no membrane'}, of {name}")


def _hazard(net, model, population):
    """What the decision to spike was before it was made deterministic."""
    name = population.name
    cell = model.cells[population.neuron] if population.neuron else model.cell
    if not neurons.is_leaky(cell):
        raise _not_in_nir(f"the neuron {cell.name}, of {name}")
    group = net.assembly.groups[name]
    decisions = [line for _, line in _statements(net, name) if line.name == "S"]
    if group.threshold != "S > 0.5" or len(decisions) != 1 or decisions[0].operator != "=":
        raise _not_in_nir(f"the threshold {group.threshold}, of {name}")
    if decisions[0].right == DECIDED:
        return {}
    theirs = {line for block in ("hidden", "hidden.chance")
              for line in parse(cell.blocks.get(block, "")) if line.name in ("p", "rho", "chance")
              and line.kind != "parameter"}
    mine = {line for line in (*parse(group.equations), *(x for _, x in _statements(net, name)))
            if line.name in ("p", "rho", "chance") and line.kind != "parameter"}
    if decisions[0].right != DRAWN or mine != theirs:
        raise _not_in_nir(f"{decisions[0]} as it was edited, of {name}")
    rho = next(line for line in mine if line.name == "rho")
    return {"hazard": f"{cell.name}: {rho}"} | {
        key: float(np.mean(net.values[f"{name}.{key}"])) for key in ("rho0", "Delta")
        if f"{name}.{key}" in net.values}


# ---------------------------------------------------------------------------- projections

def _onto(net, name):
    """The synapses onto a population."""
    return [text for text in net.assembly.synapses.values() if text.target == name]


def _lines_onto(net, synapse, variable):
    """The lines of synapses that give their target's `variable` a value."""
    return [line for text in synapse_texts(synapse) for line in parse(text)
            if line.name == f"{variable}_post"]


def _projection(nir, net, network, synapse):
    """Put a projection into the graph: Linear, behind a Delay or before a Scale."""
    variable = "u" if synapse.target != network.readout.name else "o"
    lines = _lines_onto(net, synapse, variable)
    currents = _lines_onto(net, synapse, "drive")
    backward = [line for text in synapse_texts(synapse) for line in parse(text)
                if line.name in ("u_pre", "o_pre", "drive_pre", "S_post", "S_pre")]
    if backward or len(lines) + len(currents) > 1:
        raise _not_in_nir("; ".join(map(str, backward + lines + currents))
                          + f", of {synapse.name}")
    if not lines and not currents:  # feedback: nothing that a trial without plasticity needs
        return
    if synapse.source not in net.nodes:
        raise _not_in_nir(f"spikes from {synapse.source}, of {synapse.name}")
    line = (lines or currents)[0]
    weights = _weights(net, synapse, line, _SPIKE if lines else _CURRENT)
    name, source, target = synapse.name, synapse.source, synapse.target
    net.nodes[name] = nir.Linear(weights.T.copy())
    delay = network[name].delay
    if delay:
        net.nodes[f"{name}_delay"] = nir.Delay(np.full(network[source].size, float(delay)))
        net.edges += [(source, f"{name}_delay"), (f"{name}_delay", name)]
    else:
        net.edges.append((source, name))
    r = net.nodes[target].r
    if currents and (r != 1).any():
        net.nodes[f"{name}_scale"] = nir.Scale(1 / r)
        net.edges += [(name, f"{name}_scale"), (f"{name}_scale", target)]
    else:
        net.edges.append((name, target))


def _weights(net, synapse, line, form):
    """The weights of a projection as they act, (source, target)."""
    w, low, high = as_sympy("w"), -np.inf, np.inf
    acting = as_sympy(line.right) / (as_sympy(form) / w)
    if acting != w:
        bounds: Any = acting.args if getattr(acting.func, "__name__", "") == "clip" else ()
        if len(bounds) != 3 or bounds[0] != w or not all(x.is_number for x in bounds[1:]):
            raise _not_in_nir(f"{line}, of {synapse.name}")
        low, high = map(float, bounds[1:])
    if line.operator != ("+=" if line.kind == "statement" else "="):
        raise _not_in_nir(f"{line}, of {synapse.name}")
    kept = np.reshape(np.asarray(net.final[f"{synapse.name}.w"], float), synapse.connection.shape)
    return np.clip(kept, low, high) * getattr(synapse.connection, "mask", True)
