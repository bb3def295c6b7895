"""Both engines run the same text: equal to rounding on the same random numbers, step by step.

The spiking engine is Brian2 with tables in place of ``rand()`` (`replay.Network`); the rate
engine runs the un-edited model and is handed the same tables. It needs no rule's name: text goes
in, numbers come out, so these tests hold for a rule that is added as a file as well.
"""

import brian2 as b2
import numpy as np
import pytest
from replay import Case, Network, Protocol, draw
from test_replay import OPTIONS, SLOW

from bioopzo import rules
from bioopzo.engines.rate import batch, kernels
from bioopzo.engines.rate import engine as rate_engine
from bioopzo.engines.rate.engine import Engine
from bioopzo.engines.rate.stages import arrange, live
from bioopzo.engines.spiking.code import abstract_code
from bioopzo.engines.spiking.state import get_array, state_variables
from bioopzo.errors import EquationError, InputError
from bioopzo.network.clock import Shape, time_course

#: Trials with plasticity on or off: two in a row, and one after a trial that only reads.
TRIALS = (1, 1, 0, 1)
STREAM = {"state_reset": False, "plastic": (1, 1, 1)}


def case_of(rule, options=None, **settings):
    """A case with gentle steps for the rule whose scores are large."""
    return Case(rule, options or {}, **{"plastic": TRIALS, **(SLOW if rule == "reinforce" else {}),
                                        **settings})


#: Every rule with its options, then the network's variants, each with a rule that reads them.
CASES = [case_of(rule, options) for rule in rules.available() for options in
         OPTIONS.get(rule, [{}])]
VARIANTS = [
    case_of("opzo", neuron="exponential", reset="hard", coding="poisson"),
    case_of("opzo", neuron="erf", coding="spikes", sizes=(6, 5, 3)),
    case_of("opzo", {"place": "before"}, neuron="deterministic", sizes=(4, 5, 4, 3, 3)),
    case_of("opzo", {"antithetic": False}, reset="hard", **STREAM),
    case_of("bp", error="spiking", sizes=(4, 5, 4, 3, 3), warmup=0),
    case_of("reinforce", neuron="erf", coding="spikes"),
    case_of("eprop", coding="poisson", **STREAM),
    case_of("dfa", varying=True, error="spiking"),
    case_of("dkp", {}, neuron="exponential", coding="poisson", **STREAM),
    case_of("opzo", {"local": True, "intermediate": 2}, sizes=(4, 5, 4, 3, 3)),
    case_of("dfa", {"local": True, "intermediate": 2}, coding="spikes"),
]
#: Edited texts. What acts on w without the error acts in trials without plasticity too where
#: Brian2 runs it; the rate engine changes no weight there: so plasticity stays on.
EDITED = [
    (case_of("opzo", coding="poisson"), {
        "psi": "psi = exp(-abs(u - theta)/Delta)*(2 - int(gate > 0.5)) : 1"}),
    (case_of("bp", plastic=(1, 1, 1)), {
        "forward": "dw/dt = -eta*xbar_pre*psi_post*g_post - 0.1*Hz*w : 1",
        "hidden.step": "S = int(rand() < chance)", "theta": 0.9}),
    # Weights that lose strength with the activity on both sides, after Oja, and one that is held
    # near a target: sums of terms with powers of every factor.
    (case_of("dfa", coding="spikes", plastic=(1, 1, 1)), {
        "forward": "dw/dt = -eta*xbar_pre*psi_post*g_post - 0.5*Hz*w*xbar_post**2"
                   " + 0.2*Hz*(0.1 - w)*(1 + xbar_pre)*exp(-xbar_post) : 1"}),
    # The whole update is filtered, so that w reads nothing but its eligibility.
    (case_of("bp"), {
        "forward": "dE/dt = (xbar_pre*psi_post*g_post - E)/tau_o : 1\ndw/dt = -eta*E : 1",
        "forward.trial": "E = 0"}),
    # What depends on the sign of a weight: feedback of the right sign only, and a decay to zero.
    (case_of("bp", plastic=(1, 1, 1)), {
        "backward": "g_pre = 0.3*sign(w)*delta_post : 1 (summed)",
        "forward": "dw/dt = -eta*xbar_pre*psi_post*g_post"
                   " - 0.1*Hz*sign(w)*abs(xbar_pre - 0.5)*sqrt(w**2) : 1"}),
]


#: What `abstract_code` returns, by text: it takes longer than all that is run here.
STATE_UPDATES = {}


def text_of(model):
    """All that Brian2's code for the state updates depends on."""
    return model.sizes, tuple(sorted(model.blocks.items()))


class Tables:
    """The numbers of a case's tables, by what they are drawn for and when."""

    def __init__(self, case, data):
        self.case, self.data, self.trial = case, data, 0

    def __call__(self, distribution, target, step, shape):
        data, (owner, name) = self.data, target.split(".")
        layer = int(owner.rpartition("_")[2]) - 1 if owner.startswith("hidden") else None
        table = {"S": data.arrivals if layer is None else data.escape[layer],
                 "z": None if layer is None else data.held[layer],
                 "positive": data.positive, "negative": data.negative}[name]
        return table[self.trial*self.case.steps + step]


def spiking_run(case, data, edits):
    """Every variable of Brian2's network after every step: name -> (steps of all trials, n)."""
    net = Network(case, data, lazy=False, edits=edits)
    names, seen = list(state_variables(net.built)), []
    look = b2.NetworkOperation(lambda: seen.append([get_array(net.built, k)
                                                    for k in names]),
                               clock=net.built["error"].clock, when="end", name="look")
    net.built.network.add(look)
    net.advance(len(case.plastic))
    return net, {k: np.array(values, float) for k, values in zip(names, zip(*seen))}


def rate_run(case, data, net, edits):
    """The same of the rate engine: a list of {name: (steps, n)}, one a trial."""
    tables = Tables(case, data)
    model = case.model().edit(edits)
    code = {name: net.built[name].state_updater.abstract_code
            for name in net.built.assembly.groups}
    STATE_UPDATES[text_of(model)] = code
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "arrange", _keeping)
        patch.setattr(rate_engine, "abstract_code", lambda *_: code)
        engine = Engine(model, net.shape, net.course, activity="spikes",
                             precision="double", updates="step", compiled=False, draw=tables)
    start(engine, data)
    seen, trials = [], []
    for reader in engine.passes.values():
        watch(reader, seen)
    for trial, plastic in enumerate(case.plastic):
        tables.trial = trial
        show = engine.train_batch if plastic else engine.evaluate
        show(*presented(case, data, trial))
        trials.append({k: [step[k] for step in seen if k in step] for k in seen[0]})
        seen.clear()
    return engine, trials


def _keeping(program, wanted, finals, *rest):
    """`arrange`, so that every variable that is computed can be looked at.

    So g and psi are there, and not only what goes on into the next step.
    """
    found = live(program, {*wanted, *(program.last[key] for key in finals)})
    kept = {key for key, number in program.last.items() if number in found and "@" not in key
            and program.nodes[number].kind in ("element", "mean")}
    return arrange(program, wanted, finals | kept, *rest)


def start(engine, data):
    """The weights and feedback that a case starts from."""
    for key, weights in engine.weights.items():
        name, variable = key.split(".")
        layer = int(name.rpartition("_")[2]) - 1
        if name.startswith(("forward_local", "intermediate")):
            continue  # what belongs to readouts of single layers starts at zero in both
        if variable == "w":
            weights[...] = data.weights[layer]
        elif variable == engine.model.rule.matrix and engine.model.rule.feedback_scale:
            weights[...] = data.feedback[layer]


def presented(case, data, trial):
    """Input and target of a trial for a batch of one."""
    steps = slice(trial*case.steps, (trial + 1)*case.steps)
    inputs = data.inputs[steps][:, None] if case.coding == "spikes" else data.inputs[[trial]]
    return inputs, data.targets[steps][:, None] if case.varying else data.targets[[trial]]


def watch(reader, seen):
    """Note every variable after every step; there is no other place to look inside a trial."""
    inner, engine, program = reader._run_chunk, reader.engine, reader.program
    carried = {key for stage in reader.stages for key in stage.carried}
    # When nothing goes on, what only prepares the step after the last one is left out.
    finished = {key for key in carried if program.last[key] in reader.ending}
    late = {node.target for node in program.finish} if reader.plastic else set()

    def outer(first, count):
        inner(first, count)
        keys = finished if first + 1 == engine.shape.steps else carried
        values = {key: reader.state[key] for key in keys | (late & set(reader.state))}
        values.update(engine.weights)
        values.update(reader.eligibilities)
        seen.append({key: np.array(value, float).ravel() for key, value in values.items()})

    reader._run_chunk = outer


def compare(case, edits=None):
    """Assert that both engines agree; returns the variables compared in plastic trials."""
    data, edits = draw(case), edits or {}
    net, theirs = spiking_run(case, data, edits)
    engine, trials = rate_run(case, data, net, edits)
    compared = set()
    for trial, (plastic, mine) in enumerate(zip(case.plastic, trials)):
        first = trial*case.steps
        for key in sorted(set(mine) & set(theirs)):
            if key == "critic.advantage" and trial and not case.plastic[trial - 1]:
                continue  # of the trial before, which in the rate engine has none
            expected = theirs[key][first:first + len(mine[key])]
            if key.endswith(".count"):  # Brian2 counts on, the rate engine counts a trial's
                expected = expected - (theirs[key][first - 1] if trial else 0)
            found = np.broadcast_to(mine[key], expected.shape)
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10,
                                       err_msg=f"{key} in trial {trial}")
            compared |= {key} if plastic else set()
        assert {"readout.o", "readout.decision", "error.cost"} <= set(mine), "not even a reading"
    return net, engine, data, theirs, compared


def has_bite(case, net, engine, data, theirs, compared):
    """The comparison could fail: everything is compared, neurons spike, weights move."""
    program = engine.program
    layers = [f"hidden_{k}" for k in range(1, case.depth + 1)]
    learned = {node.target for node in program.nodes + program.finish if node.kind == "learn"}
    wanted = {f"{name}.{variable}" for name in layers for variable in ("u", "S", "count")}
    wanted |= {"readout.o", "readout.decision", "error.err", "error.cost"}
    wanted |= set(engine.weights) | program.eligibilities | program.shared
    # What no text needs is not computed: no trace below weights that nothing changes.
    wanted |= {f"{net.built.assembly.synapses[key.split('.')[0]].source}.xbar"
               for key in learned if key.startswith("forward")}
    names = ("psi", "g", "z", "zbar", "Dz", "Do", "L", "advantage", "surprise")
    wanted |= {key for key in theirs if key.split(".")[1] in names and theirs[key].any()
               and not key.startswith("localerror")}
    assert wanted <= compared, wanted - compared
    for name in layers:
        assert theirs[f"{name}.count"][-1].sum() > 10
    for key in engine.weights:
        moved = np.abs(theirs[key][-1] - theirs[key][0]).max()
        assert moved > 1e-3 if key in learned else moved == 0, (key, moved)


@pytest.mark.parametrize("case", CASES + VARIANTS, ids=str)
def test_engines_agree_on_the_same_random_numbers(case):
    """Spikes, traces, error, feedback, statistics and weights after every step, to 1e-10."""
    has_bite(case, *compare(case))


@pytest.mark.parametrize("case, edits", EDITED, ids=lambda x: str(x) if isinstance(x, Case) else "")
def test_engines_agree_on_edited_text(case, edits):
    """A user's own lines need no change in either engine."""
    has_bite(case, *compare(case, edits))


def test_a_synaptic_variable_may_be_written_before_what_reads_it():
    """Euler's step takes the old values whatever the order of the lines; ebar goes on here."""
    text = "\n".join(reversed(case_of("eprop").model().blocks["forward"].splitlines()))
    case = case_of("eprop", coding="poisson", **STREAM)
    has_bite(case, *compare(case, {"forward": text}))


def test_a_condition_counts_in_double_precision_and_may_be_of_numbers():
    """What `int` makes of a condition must not draw the rest of a term into single precision."""
    np.testing.assert_allclose(kernels.evaluate("int(x > 0)/3", {"x": np.ones(2)}), 1/3, rtol=1e-15)
    assert kernels.evaluate("int(x > 0.5)", {"x": 1.0}) == 1


# ---------------------------------------------------------------------------- refusals

@pytest.mark.parametrize("text, term", [
    ("dw/dt = -eta*clip(xbar_pre*psi_post, 0, 1)*g_post : 1", "clip"),
    ("dw/dt = -eta*xbar_pre*g_post/(1 + xbar_pre + xbar_post) : 1", "1/(xbar_post + xbar_pre + 1)"),
])
def test_text_that_cannot_be_factored_is_refused_before_anything_runs(text, term):
    """The term is named, and what to use instead."""
    case = case_of("bp")
    with pytest.raises(EquationError, match="forward_1.*cannot be factored") as problem:
        engine_of(case, edits={"forward": text})
    assert term in str(problem.value) and "spiking engine" in str(problem.value)


def test_a_refractory_period_is_refused():
    with pytest.raises(InputError, match="refractory"):
        engine_of(case_of("bp", refractory=0.003))


def test_an_eligibility_that_goes_on_needs_updates_within_the_trial():
    """It would be summed over the batch and change only when the trial is over."""
    with pytest.raises(InputError, match="forward_1.ebar.*state_reset"):
        engine_of(case_of("eprop", state_reset=False))


# ---------------------------------------------------------------------------- batches

def engine_of(case, batch_draw=None, edits=None, **settings):
    """A rate engine in double precision, from the start of a case."""
    model = case.model().edit(edits or {})
    shape = Shape(case.steps, case.dt, case.varying, 2)
    course = time_course(model, Protocol(case))
    chosen = {"activity": "spikes", "precision": "double", "compiled": False, "seed": 3,
              "draw": batch_draw, **settings}
    code = STATE_UPDATES.get(text_of(model)) or abstract_code(model, shape)
    STATE_UPDATES[text_of(model)] = code
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_engine, "abstract_code", lambda *_: code)
        engine = Engine(model, shape, course, **chosen)
    start(engine, draw(case))
    return engine


def samples(case, count, seed=5):
    """Inputs and targets of a batch."""
    rng = np.random.default_rng(seed)
    return (rng.random((count, case.sizes[0])),
            np.eye(case.sizes[-1])[rng.integers(case.sizes[-1], size=count)])


#: One hold or pair a trial: see `test_a_batch_gives_the_mean_of_its_samples`.
LONG = {"plastic": (1,), "values": {"T_z": 0.018, **SLOW["values"]}}
BATCHES = [case_of(rule, **LONG) for rule in rules.available()] + [
    case_of("opzo", {"form": "momentum", "antithetic": False}, **LONG),
    case_of("opzo", {"distribution": "gaussian", "place": "before"}, **LONG),
    case_of("node_perturbation", {"points": "two", "distribution": "gaussian"}, **LONG)]


def orders(case, activity, compiled=False):
    """Weights after two batches of 7, step by step and all steps at once (this one compiled)."""
    found = []
    for steps in (1, None):
        engine = engine_of(case, activity=activity, compiled=compiled and steps is None,
                           steps_at_once=steps)
        begin = {k: w.copy() for k, w in engine.weights.items()}
        results = [engine.train_batch(*samples(case, 7, seed)) for seed in range(2)]
        read = engine.evaluate(*samples(case, 7))
        changes = {k: w - begin[k] for k, w in engine.weights.items()}
        found.append(({**changes, **engine.shared}, [*results, read[:2]]))
    for key, (one, all_) in ((k, (found[0][0][k], found[1][0][k])) for k in found[0][0]):
        np.testing.assert_allclose(all_, one, rtol=1e-10, atol=1e-10, err_msg=key)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-10, atol=1e-10)
    last = f"forward_{case.depth + 1}.w"
    assert np.abs(found[0][0][last]).max() > 1e-4


@pytest.mark.parametrize("case, activity", [
    *((case, "spikes") for case in BATCHES), *((case, "rates") for case in BATCHES[::3])], ids=str)
def test_step_by_step_or_all_at_once(case, activity):
    """The order of execution changes nothing but rounding."""
    orders(case, activity)


@pytest.mark.compiled
@pytest.mark.parametrize("case", BATCHES[:len(rules.available())], ids=str)
def test_compiled_and_all_at_once_or_interpreted_step_by_step(case):
    """The element-wise code compiled, against NumPy."""
    orders(case, "spikes", compiled=True)


class Numbers:
    """Random numbers of every sample of a batch; `which` of them the engine is shown."""

    def __init__(self, steps, count):
        self.steps, self.count, self.which, self.tables = steps, count, slice(None), {}

    def __call__(self, distribution, target, step, shape):
        if target not in self.tables:
            rng = np.random.default_rng([*target.encode()])
            size = (self.steps, self.count, shape[1])
            self.tables[target] = (rng.random(size) if distribution == "rand"
                                   else rng.standard_normal(size))
        return self.tables[target][step][self.which]


@pytest.mark.parametrize("activity", ["spikes", "rates"])
@pytest.mark.parametrize("case", BATCHES, ids=str)
def test_a_batch_gives_the_mean_of_its_samples(case, activity):
    """The change of a batch is the mean of what each sample alone would have changed.

    Exact where the change is linear in what the samples share. So it is with the critic's baseline
    and OPZO's C, over one trial from the same start, and with M for Rademacher z and one hold a
    trial: then every sample has the same power. With Gaussian z (or several holds a trial) M is
    divided by the mean power of the batch, not by the sample's own, as a shared statistic should
    be: M is left out there.
    """
    count = 5
    numbers = Numbers(case.steps, count)
    inputs, targets = samples(case, count)
    engine = engine_of(case, numbers, activity=activity)
    begin = {**{k: w.copy() for k, w in engine.weights.items()},
             **{k: x.copy() for k, x in engine.shared.items()}}

    def change(which):
        numbers.which = which
        for values in (engine.weights, engine.shared):
            for key in values:
                values[key][...] = begin[key]
        engine.train_batch(inputs[which], targets[which])
        return {k: v - begin[k] for k, v in {**engine.weights, **engine.shared}.items()}

    together = change(slice(None))
    alone = [change(slice(k, k + 1)) for k in range(count)]
    nonlinear = {"M"} if ("distribution", "gaussian") in case.options.items() else set()
    for key in together:
        if key.split(".")[1] not in nonlinear:
            np.testing.assert_allclose(together[key], np.mean([a[key] for a in alone], axis=0),
                                       rtol=1e-9, atol=1e-12, err_msg=key)
    apart = [np.abs(a[key] - together[key]).max() for a in alone for key in a
             if key.startswith("forward")]
    assert max(apart) > 1e-4, "the samples do not differ"


#: Wide escape noise: a spike moves the membrane by a fraction of the noise's width.
WIDE = {"Delta": 1.0, "rho0": 200.0, "eta": 1.0, "eta_o": 1.0}


@pytest.mark.parametrize("rule", ["bp", "dfa", "dkp"])
def test_rates_give_the_mean_of_the_spiking_updates(rule):
    """Mean-field update against the mean over 2000 spiking trials of one sample.

    Equal only where hazard, psi and softmax are linear over the fluctuations of their arguments: a
    mean of a product is not the product of means. Measured with bp (hidden layers): cosine 0.999
    and 0.9 of the length for Delta = 1, where the bounds here are; 0.992 and 0.75 for 0.5; 0.96
    and 0.5 to 0.7 for 0.25; 0.75 to 0.81 and 0.2 to 0.4 for the default of 0.1. Halves of the
    spiking trials agree to a cosine of 0.9998: what is left is no sampling noise.
    """
    case = case_of(rule, sizes=(20, 30, 20, 4), values=WIDE, plastic=(1,))
    inputs, targets = samples(case, 1)
    found = {}
    for activity, count in (("rates", 1), ("spikes", 2000)):
        engine = engine_of(case, activity=activity)
        begin = {k: w.copy() for k, w in engine.weights.items()}
        engine.train_batch(np.repeat(inputs, count, 0), np.repeat(targets, count, 0))
        found[activity] = {k: w - begin[k] for k, w in engine.weights.items()
                           if k.startswith("forward")}
    for key, mean in found["spikes"].items():
        mine, length = found["rates"][key], np.linalg.norm
        assert np.sum(mine*mean)/(length(mine)*length(mean)) > 0.985, key
        assert 0.8 < length(mean)/length(mine) < 1.15, key
