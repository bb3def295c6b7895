"""Engine 2: the same text on mini-batches, as arrays of shape (batch, neurons), with NumPy.

No rule is written here: `program` takes the text of every object apart, `stages` orders the
operations, `kernels` runs what is element-wise, `batch` runs a trial. Sums through synapses become
matrix products, plasticity becomes products over batch and time, averaged over the batch.

Order of execution. `steps_at_once` steps of a trial go through a layer together: all of them (time
batched, fast, the activity of the whole trial is held) or one (online, memory does not grow with
the trial). Both give the same numbers to rounding, since weights change when the trial has ended
(``updates="trial"``). With ``updates="step"`` they change in every step: with plain descent at
once, as in the spiking engine; with another optimiser when the step is over.
"""

import ast

import numpy as np

from bioopzo.engines import tools
from bioopzo.engines.rate import kernels, optimizers
from bioopzo.engines.rate.batch import Pass
from bioopzo.engines.rate.kernels import Assignment, Kernel
from bioopzo.engines.rate.program import ACTIVITIES
from bioopzo.engines.rate.translate import program
from bioopzo.engines.spiking.code import abstract_code
from bioopzo.engines.tools import ONE_AT_A_TIME
from bioopzo.errors import EquationError, InputError, unknown
from bioopzo.files import cache_directory
from bioopzo.network import objects
from bioopzo.network.assembly import assemble
from bioopzo.network.connections import Convolution, Dense
from bioopzo.text.equations import identifiers, parse, substitute
from bioopzo.text.functions import FUNCTIONS

PRECISIONS = {"single": np.float32, "double": np.float64}
UPDATES = ("trial", "step")
#: What the activity of a chunk may weigh; longer trials are run in several chunks.
CHUNK_BYTES = 1e9


class Engine:
    """A model on mini-batches.

    Parameters
    ----------
    model : Model
        With the task's coding (`Model.for_task`).
    shape : network.clock.Shape
        Steps a trial, dt, whether the target varies in time.
    course : array (steps, 6)
        `network.clock.time_course`.
    activity : ``"rates"``, ``"spikes"`` or ``"deterministic"``
        What a neuron sends: its chance to spike, a spike drawn with that chance, or a spike where
        u > theta (this makes the model's neuron the deterministic one).
    precision : ``"single"`` or ``"double"``
    updates : ``"trial"`` or ``"step"``
        When synapses change: after the trial, or at once as in the spiking engine.
    steps_at_once : int, optional
        Steps that go through a layer together; default all, where memory allows.
    optimizer : Optimizer, default plain descent
    compiled : bool, optional
        Whether element-wise code is compiled; default where there is a compiler.
    seed : int
    draw : callable, optional
        ``draw(distribution, target, step, shape)`` in place of random numbers: `target` is what
        they are drawn for, such as ``"hidden_1.S"``, `step` counts from the start of the trial.

    Raises `EquationError` for text that cannot be factored, `InputError` for settings that do
    not fit together.
    """

    def __init__(self, model, shape, course, activity="rates", precision="single",
                 updates="trial", steps_at_once=None, optimizer=None, compiled=None, seed=0,
                 draw=None):
        for kind, value, known in (("activity", activity, ACTIVITIES),
                                   ("precision", precision, PRECISIONS),
                                   ("kind of updates", updates, UPDATES)):
            if value not in known:
                raise unknown(kind, value, known)
        if activity == "deterministic" and model.neuron != "deterministic":
            model = model.without_noise()
        self.model, self.shape, self.course, self.activity = model, shape, course, activity
        self.optimizer = optimizer or optimizers.get("sgd")
        self.dtype, self.each_step = PRECISIONS[precision], updates == "step"
        self.immediate = self.each_step and self.optimizer.name == "sgd"
        self.asked = self._steps_at_once(steps_at_once)
        self.assembly = assemble(model, None, shape.varying, lazy=False)
        with ONE_AT_A_TIME:
            abstract = abstract_code(model, shape)
        self.program = program(self.assembly, abstract, activity)
        if not self.immediate:
            self._refuse_running_eligibilities()
        self.constants = objects.constants(self.assembly, model, shape)
        self.sizes = {name: group.size for name, group in self.assembly.groups.items()}
        self.connections = {name: Dense(self.sizes[s.source], self.sizes[s.target])
                            for name, s in self.assembly.synapses.items()}
        self.connections.update(model.connections)
        self._refuse_in_images()
        self.weights = {key: np.zeros(self.connections[key.split(".")[0]].shape, self.dtype)
                        for key in self.program.learned}
        self.shared = {key: np.zeros((1, self.sizes[key.split(".")[0]]), self.dtype)
                       for key in sorted(self.program.shared)}
        self.moments, self.updates_done, self.moved = {}, 0, set()
        self.optimized = {node.target for node in self.program.nodes
                          if node.kind == "learn" and node.detail.get("differential")}
        self.optimized |= {key for key in self.weights if key.endswith(".w")}
        self.draw = draw
        count = len(self.program.draws)
        self.streams = {plastic: [np.random.Generator(np.random.SFC64(s)) for s in seeds]
                        for plastic, seeds in zip((True, False), (
                            branch.spawn(count) for branch in np.random.SeedSequence(seed).spawn(2)
                        ))}
        self.passes = {plastic: Pass(self, plastic) for plastic in (True, False)}
        self._compile(compiled)

    def _refuse_running_eligibilities(self):
        """What a synapse keeps for its plasticity over several trials is no sum over a batch."""
        changes = [n for n in self.program.nodes if n.detail.get("differential")]
        for node in changes:
            for other in changes:
                if node.kind == "learn" and other is not node and any(
                        node.target in term.synaptic.values() for term in other.detail["terms"]):
                    raise InputError(
                        f"{node.target} goes on from trial to trial (state_reset=False), and "
                        f"{other.target} follows it at once: use state_reset=True, updates='step' "
                        "with plain descent, or the spiking engine")

    def _refuse_in_images(self):
        """What has no meaning, or no room, where several synapses share a weight."""
        for node in self.program.nodes + self.program.finish:
            connection = self.connections.get(node.owner)
            if node.kind not in ("learn", "trace") or isinstance(connection, Dense):
                continue
            if node.kind == "trace" and self.asked not in (None, self.shape.steps):
                raise InputError(f"{node.target}: the eligibility of a convolution or pooled image "
                                 "needs all steps of a trial at once (steps_at_once=None)")
            for term in node.detail["terms"]:
                own = set(term.synaptic.values()) - self.program.eligibilities
                if own and isinstance(connection, Convolution) and (
                        term.pre is not None or node in self.program.finish):
                    raise EquationError(f"{node.owner}: a change that reads {', '.join(own)} and a "
                                        "presynaptic value (or is made once a trial) is not "
                                        "defined in a convolution, whose synapses share weights")

    def _steps_at_once(self, asked):
        steps = self.shape.steps
        if self.each_step:
            if asked not in (None, 1):
                raise InputError("updates='step' runs one step at a time: steps_at_once=1")
            return 1
        if asked is not None and (isinstance(asked, bool) or not isinstance(asked, int)
                                  or not 1 <= asked <= steps):
            raise InputError(f"steps_at_once is 1 to {steps} (the steps of a trial), not {asked}")
        return asked

    def chunk(self, batch):
        """Steps that go through a layer together for a batch of this size."""
        if self.asked is not None:
            return self.asked
        if self.program.eligibilities:
            return self.shape.steps  # every step's share is needed until the trial ends
        a_step = batch * sum(self.sizes.values()) * 8 * np.dtype(self.dtype).itemsize
        return int(max(1, min(self.shape.steps, CHUNK_BYTES // a_step)))

    def _compile(self, wanted):
        """Every kernel once, for both passes and the optimiser."""
        compiler = tools.compiler() if wanted in (None, True) else None
        if wanted and not compiler:
            raise InputError("compiled=True needs a C++ compiler (g++)")
        self.optimizer_kernel = _optimizer_kernel(self.optimizer)
        every = [self.optimizer_kernel, *(plan.kernel for p in self.passes.values()
                                          for plan in p.plans.values())]
        if compiler:
            self.functions = kernels.compile_all(every, self.dtype,
                                                 cache_directory() / "kernels", compiler)
        else:
            self.functions = {k.name: kernels.Interpreted(k, self.dtype) for k in every}

    # ------------------------------------------------------------------ use

    def train_batch(self, inputs, targets, constants=None, rate=None):
        """Show one batch with plasticity on; arrays (batch, n), or (steps, batch, n) in time.

        `constants` are parameters in force (a schedule's), `rate` the optimiser's. Returns
        (decision, cost), each (batch, readouts).
        """
        self.rate = rate
        return self.passes[True].run(inputs, targets, constants or self.constants, self.apply)

    def apply(self, changes):
        """Let synapses follow what a trial (or a step) asks: by the optimiser, or as it is."""
        self.updates_done += 1
        self._note_what_moves(changes)
        for key, change in changes.items():
            if key in self.optimized:
                self._optimize(key, change, self.rate)
            else:
                self.weights[key] += change

    def _note_what_moves(self, changes):
        """Which variables were ever asked for more than rounding, beside the largest change."""
        if not changes.keys() <= self.moved:
            size = {key: float(np.abs(change).max()) for key, change in changes.items()}
            top = max(size.values())
            self.moved |= {key for key, value in size.items() if value > 1e-6 * top}

    def evaluate(self, inputs, targets, constants=None):
        """Show a batch with plasticity and perturbation off: (decision, cost, mean spikes).

        The last maps a group to its spikes a neuron and trial, averaged over the batch.
        """
        reading = self.passes[False]
        decision, cost = reading.run(inputs, targets, constants or self.constants)
        spikes = {name: reading.state[f"{name}.count"].mean(axis=0) for name in self.sizes
                  if f"{name}.count" in reading.state}
        return decision, cost, spikes

    def _optimize(self, key, change, rate):
        weights, kernel = self.weights[key], self.optimizer_kernel
        moments = [self._moment(f"{key}:{name}", weights) for name in self.optimizer.variables]
        values = {**self.optimizer.parameters, "n": float(self.updates_done)}
        if rate is not None:
            values["rate"] = rate
        change = np.ascontiguousarray(np.broadcast_to(change, weights.shape), self.dtype)
        flat = (len(weights), weights.size // len(weights))
        self.functions["optimizer"](1, [change.reshape(1, *flat)], [],
                                    [values[name[2:]] for name in kernel.constants],
                                    [x.reshape(flat) for x in (weights, *moments)], [])

    def _moment(self, name, weights):
        """What the optimiser keeps for every synapse; it starts at zero."""
        if name not in self.moments:
            self.moments[name] = np.zeros_like(weights)
        return self.moments[name]

    def random(self, number, steps, shape, plastic=True):
        """Numbers of draw `number` for some steps: (steps, batch, n)."""
        distribution, target, _ = self.program.draws[number]
        if self.draw is not None:
            return np.array([np.broadcast_to(self.draw(distribution, target, t, shape), shape)
                             for t in steps], self.dtype)
        stream = self.streams[plastic][number]
        if distribution == "rand":
            return stream.random((len(steps), *shape), dtype=self.dtype)
        return stream.standard_normal((len(steps), *shape), dtype=self.dtype)


def _optimizer_kernel(optimizer):
    """The optimiser's text as a kernel over the rows of a weight matrix."""
    names = ["w", *optimizer.variables]
    constants = (*optimizer.parameters, "n")
    # Names of its own, so that none is one of the compiled loop's.
    own = {name: f"x_{name}" for name in (*names, *constants, "dw")}
    version, assignments = dict(own), []
    for k, line in enumerate(parse(optimizer.text, optimizer.name)):
        right = line.right if line.operator == "=" else \
            f"{line.name} {line.operator[0]} ({line.right})"
        try:
            ast.parse(right, mode="eval")
        except SyntaxError as problem:
            raise EquationError(f"optimizer {optimizer.name}: {str(line)!r}: "
                                f"{problem.msg}") from None
        strange = identifiers(right) - {*names, *constants, "dw", *FUNCTIONS}
        strange |= {line.name} - set(names)
        if strange:
            raise EquationError(f"optimizer {optimizer.name}: {str(line)!r} uses "
                                f"{', '.join(sorted(strange))}; known are "
                                f"{', '.join([*names, *constants, 'dw'])}")
        right = substitute(right, version)
        version[line.name] = f"x_{line.name}_{k}"
        assignments.append(Assignment(version[line.name], right))
    return Kernel("optimizer", tuple(assignments), (own["dw"],),
                  constants=tuple(own[name] for name in constants),
                  carried=tuple((own[name], version[name]) for name in names))
