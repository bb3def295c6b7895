"""An order of execution for the operations of a time step: many steps at once where that is legal.

Run in the order of the text, every operation sees one step. When a feedforward layer does not
depend on what comes after it, all its steps can be run before the next layer's first one, and a
product through synapses becomes one product for all steps. Which operations can be separated is
read off the text: operations that depend on one another in a circle, over a step or from one step
to the next, stay together; the rest is put into the order of their dependencies.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from bioopzo.engines.rate.program import Ref, references


@dataclass
class Stage:
    """Operations that run together.

    `kind`: ``"kernel"`` (element-wise, one group, all steps of a chunk in one go), ``"single"``
    (one operation) or ``"steps"`` (several, step by step).
    """

    kind: str
    nodes: list
    owner: str = ""
    carried: list = field(default_factory=list)
    stored: list = field(default_factory=list)


def live(program, wanted):
    """Numbers of the operations that `wanted` (node numbers) depend on, over any step."""
    todo, found = list(wanted), set()
    while todo:
        number = todo.pop()
        if number in found:
            continue
        found.add(number)
        for ref in references(program.nodes[number]):
            if ref.kind == "node":
                todo.append(ref.key)
            elif ref.kind == "carry":
                todo.append(program.last[ref.key])
    return found


def silenced(program, closed):
    """The program without the operations whose gate `closed(gate)` says never opens."""
    instead = {node.number: node.reads["_previous"] for node in program.nodes
               if "_previous" in node.reads and closed(node.gate)}

    def found(ref):
        while ref.kind == "node" and ref.key in instead:
            ref = instead[ref.key]
        return ref

    last, nodes = {}, []
    for key, number in program.last.items():
        ref = found(Ref("node", number))
        if ref.kind == "node":
            last[key] = ref.key
    for node in program.nodes:
        reads = {word: found(ref) for word, ref in node.reads.items()}
        reads = {word: Ref("state", ref.key) if ref.kind == "carry" and ref.key not in last
                 else ref for word, ref in reads.items()}
        nodes.append(replace(node, reads=reads))
    return replace(program, nodes=nodes, last=last)


def arrange(program, wanted, finals, at_once, immediate):
    """The `Stage`s that compute `wanted` operations and the final values of the keys `finals`.

    `at_once`: whether a chunk holds more than one step; `immediate`: whether synapses change
    within the trial (then the order of the text is kept around every change).
    """
    chosen = sorted(live(program, set(wanted) | {program.last[k] for k in finals
                                                 if k in program.last}))
    position = {number: k for k, number in enumerate(chosen)}
    before = [[] for _ in chosen]
    for number in chosen:
        for ref in references(program.nodes[number]):
            if ref.kind == "node":
                before[position[number]].append(position[ref.key])
            elif ref.kind == "carry" and at_once:
                before[position[number]].append(position[program.last[ref.key]])
        if at_once:
            before[position[number]] += [position[k] for k in _shares(program, number)
                                         if k in position]
    _order_synapses(program, chosen, position, before, immediate)
    count, label = connected_components(_matrix(before), directed=True, connection="strong")
    parts = [[] for _ in range(count)]
    for k, number in enumerate(chosen):
        parts[label[k]].append(program.nodes[number])
    needs = [set() for _ in range(count)]
    for k, sources in enumerate(before):
        needs[label[k]] |= {label[s] for s in sources} - {label[k]}
    stages = _joined(_schedule(parts, needs))
    _find_traffic(program, stages, set(finals))
    return stages


def _shares(program, number):
    """Operations whose values make up the eligibilities that a change reads.

    With all steps at once the change is computed from them (`Pass._contract_eligibility`).
    """
    keys = {key for term in program.nodes[number].detail.get("terms", ())
            for key in term.synaptic.values()} & program.eligibilities
    for node in program.nodes:
        if node.kind == "trace" and node.target in keys and node.number != number:
            for ref in references(node):
                if ref.kind in ("node", "carry"):
                    yield ref.key if ref.kind == "node" else program.last[ref.key]


def _order_synapses(program, chosen, position, before, immediate):
    """Eligibilities follow the text; and where synapses change at once, so do their readers."""
    touched = {}
    for number in chosen:
        node = program.nodes[number]
        reads = set(node.detail.get("synaptic", {}).values())
        for term in node.detail.get("terms", ()):
            reads |= set(term.synaptic.values())
        writes = {node.target} if node.kind in ("learn", "trace") else set()
        for key in reads | writes:
            if immediate or key in program.eligibilities:
                touched.setdefault(key, []).append((number, key in writes))
    for uses in touched.values():
        for k, (number, writes) in enumerate(uses):
            for earlier, wrote in uses[:k]:
                if writes or wrote:
                    before[position[number]].append(position[earlier])


def _matrix(before):
    rows = [k for k, sources in enumerate(before) for _ in sources]
    columns = [s for sources in before for s in sources]
    shape = (len(before), len(before))
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


def _owner(part):
    owners = {node.owner for node in part}
    if len(owners) == 1 and all(node.kind == "element" for node in part):
        return owners.pop()
    return ""


def _schedule(parts, needs):
    """Parts in an order that respects `needs`; ready parts of one group become one kernel."""
    first = [min(node.number for node in part) for part in parts]
    done, waiting, stages = set(), set(range(len(parts))), []
    while waiting:
        ready = sorted((k for k in waiting if needs[k] <= done), key=lambda k: first[k])
        head = ready[0]
        owner = _owner(parts[head])
        if not owner:
            kind = "single" if len(parts[head]) == 1 else "steps"
            stages.append(Stage(kind, sorted(parts[head], key=lambda n: n.number)))
            done.add(head)
            waiting.discard(head)
            continue
        nodes, grew = [], True
        while grew:
            grew = False
            for k in sorted(waiting, key=lambda k: first[k]):
                if needs[k] <= done and _owner(parts[k]) == owner:
                    nodes += parts[k]
                    done.add(k)
                    waiting.discard(k)
                    grew = True
        stages.append(Stage("kernel", sorted(nodes, key=lambda n: n.number), owner))
    return stages


def _joined(stages):
    """Kernels of one group that wait for one another become one, where nobody needs the first."""
    stages, k = list(stages), 0
    while k < len(stages):
        numbers = {node.number for node in stages[k].nodes}
        for later in range(k + 1, len(stages)):
            if stages[k].kind == stages[later].kind == "kernel" \
                    and stages[k].owner == stages[later].owner:
                stages[later].nodes = sorted(stages[k].nodes + stages[later].nodes,
                                             key=lambda n: n.number)
                del stages[k]
                k = -1
                break
            if any(ref.key in numbers for node in stages[later].nodes
                   for ref in references(node) if ref.kind == "node"):
                break
        k += 1
    return stages


def _find_traffic(program, stages, finals):
    """What every kernel carries from step to step, and what others read of it."""
    home = {node.number: k for k, stage in enumerate(stages) for node in stage.nodes}
    stored, carried = set(), {}
    for k, stage in enumerate(stages):
        for node in stage.nodes:
            for ref in references(node):
                if ref.kind == "node" and (home[ref.key] != k or stage.kind != "kernel"):
                    stored.add(ref.key)
                elif ref.kind == "carry":
                    source = home[program.last[ref.key]]
                    carried.setdefault(source, set()).add(ref.key)
                    if source != k or stage.kind != "kernel":
                        stored.add(program.last[ref.key])
    for key in finals:
        if key in program.last:
            carried.setdefault(home[program.last[key]], set()).add(key)
    for k, stage in enumerate(stages):
        stage.carried = sorted(carried.get(k, ()))
        stage.stored = [n.number for n in stage.nodes
                        if n.number in stored or n.kind in ("product", "mean")]
