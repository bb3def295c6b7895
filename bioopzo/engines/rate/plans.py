"""A stage of element-wise operations: its `Kernel`, and where its values are found and go."""

from functools import cached_property

import numpy as np
import sympy
from brian2.parsing.sympytools import str_to_sympy

from bioopzo.engines.rate import kernels
from bioopzo.engines.rate.kernels import Assignment, Kernel
from bioopzo.engines.rate.program import references
from bioopzo.text.equations import substitute


class Proportional:
    """A series (steps, batch, n) that is one array times a time course, held as such."""

    def __init__(self, course, base):
        self.course, self.base = course, base


class KernelPlan:
    """A stage of element-wise operations as a `Kernel`, and where its values are."""

    def __init__(self, owner, stage, name):
        self.owner, self.stage, program = owner, stage, owner.program
        inside = {node.number for node in stage.nodes}
        self.inputs, self.courses, self.constants, self.gates = [], [], [], []
        carried = {key: f"c{k}" for k, key in enumerate(stage.carried)}
        assignments = []
        for node in stage.nodes:
            names = {}
            for word, ref in node.reads.items():
                if ref.kind == "node" and ref.key in inside:
                    names[word] = f"v{ref.key}"
                elif ref.kind == "carry" and program.last[ref.key] in inside:
                    names[word] = carried[ref.key]
                else:
                    names[word] = self._outside(ref)
            gate = f"g{_place(self.gates, node.gate)}" if node.gate else ""
            previous = names.pop("_previous", "")
            assignments.append(Assignment(f"v{node.number}", substitute(node.code, names), gate,
                                          previous))
        self.kernel = Kernel(
            name, tuple(assignments), tuple(f"i{k}" for k in range(len(self.inputs))),
            frozenset(f"i{k}" for k, ref in enumerate(self.inputs) if self._narrow(ref)),
            tuple([f"s{k}" for k in range(len(self.courses))]
                  + [f"g{k}" for k in range(len(self.gates))]),
            tuple(f"k{k}" for k in range(len(self.constants))),
            tuple((carried[key], f"v{program.last[key]}") for key in stage.carried),
            tuple(f"v{number}" for number in stage.stored))
        self.linear = self._is_linear(assignments, carried)
        # Of these another stage reads the value of the step before.
        self.late = {program.last[ref.key] for node in program.nodes
                     if node.number not in inside for ref in references(node)
                     if ref.kind == "carry" and ref.key in program.last} & inside

    def _outside(self, ref):
        """The name in the kernel of a value from outside."""
        if ref.kind == "course":
            return f"s{_place(self.courses, ref)}"
        if ref.kind in ("constant", "size"):
            return f"k{_place(self.constants, ref)}"
        return f"i{_place(self.inputs, ref)}"

    def _narrow(self, ref):
        """Whether an input has one value for all neurons of the group."""
        owner, sizes = self.owner, self.owner.engine.sizes
        if sizes[self.stage.owner] == 1:
            return False
        if ref.kind in ("node", "carry"):
            number = ref.key if ref.kind == "node" else owner.program.last[ref.key]
            return owner.width(owner.program.nodes[number]) == 1
        return ref.kind == "state" and sizes[ref.key.split(".")[0]] == 1

    def _is_linear(self, assignments, carried):
        """Whether everything here is one constant input times a time course.

        So it is where the text is linear in that input and in what is carried, and what is
        carried starts every trial at zero; then a trace of a static input needs no product of
        its own for every step.
        """
        program = self.owner.program
        zeroed = {node.target for node in program.start if node.code.strip() in ("0", "0.0")}
        if (len(self.inputs) != 1 or self.inputs[0].kind != "state" or self.gates
                or self.owner.engine.model.coding != "current" or not carried
                or self.inputs[0].key in self.owner.engine.shared
                or not set(self.stage.carried) <= zeroed):
            return False
        values, size = {}, sympy.Symbol("size", real=True)
        scaled = dict.fromkeys(["i0", *carried.values()], size)
        try:
            for a in assignments:
                expression = str_to_sympy(a.code)
                values[a.name] = sympy.expand(expression.subs(
                    {s: values.get(str(s), s) for s in expression.free_symbols}))
            return all(sympy.expand(v.subs({s: size * s for s in v.free_symbols
                                            if str(s) in scaled}) - size * v) == 0
                       for v in values.values())
        except (TypeError, ValueError, AttributeError):
            return False

    def run(self):
        """All steps of the chunk."""
        owner = self.owner
        courses = [owner.courses[ref.key] for ref in self.courses]
        courses += [owner.gate(gate) for gate in self.gates]
        constants = [owner.number(ref) for ref in self.constants]
        if self.linear and not owner.tables:
            self._run_linear(courses, constants)
            return
        owner.engine.functions[self.kernel.name](
            owner.count, [owner.series(ref) for ref in self.inputs], courses, constants,
            [owner.state[key] for key in self.stage.carried],
            [owner.buffers[number][1:owner.count + 1] for number in self.stage.stored])

    @cached_property
    def _in_double(self):
        return kernels.Interpreted(self.kernel, np.float64)

    def _run_linear(self, courses, constants):
        """The time course for an input of 1, in double precision; the array stays as it is."""
        owner = self.owner
        if owner.first == 0:
            self.kept = [np.zeros((1, 1)) for _ in self.stage.carried]
        outputs = [np.zeros((owner.count, 1, 1)) for _ in self.stage.stored]
        self._in_double(
            owner.count, [np.ones((1, 1, 1))], courses, constants, self.kept, outputs)
        base = owner.state[self.inputs[0].key]
        for number, found in zip(self.stage.stored, outputs):
            owner.proportions[number] = Proportional(found.ravel(), base)
            if number in self.late:
                owner.buffers[number][1:owner.count + 1] = found * base
        for key, kept in zip(self.stage.carried, self.kept):
            np.multiply(base, base.dtype.type(kept[0, 0]), out=owner.state[key])


def _place(items, item):
    """Index of an item in a list, appended where it is new."""
    if item not in items:
        items.append(item)
    return items.index(item)
