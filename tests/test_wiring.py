"""Networks that are not layers: recurrence, sparse and delayed projections, signs, no hidden layer.

The engines are compared on each by the fuzzer's executors: dense and event-driven form in Brian2,
rate engine, on the same random numbers.
"""

import pickle

import numpy as np
import pytest
from brian2 import Hz, ms
from fuzz.executors import run as run_draw
from fuzz.strategy import WIRINGS, Draw, wired

import bioopzo as bz
from bioopzo.errors import EquationError, InputError
from bioopzo.measures.rate import synaptic_operations
from bioopzo.measures.recording import record
from bioopzo.network.connections import Dense, Sparse
from bioopzo.tasks import Task
from bioopzo.training.start import initial_weights
from bioopzo.training.tuned import key_of, tuned_parameters, untuned

XOR = bz.tasks.xor()
E_I = (bz.Network(inputs=4, readouts=2)
       .population("E", 8, sign=+1).population("I", 3, sign=-1)
       .connect("input", "E", weights=("uniform", -1, 1)).connect("E", "E", p=0.4)
       .connect("E", "I").connect("I", "E", p=0.8, delay=2*ms).connect("E", "readout"))
BASE = bz.Network(inputs=4, readouts=2).population("E", 3)


#: Two rules that perturb, two that send errors back, and two with eligibilities.
KINDS = [[("opzo", "current", {}), ("node_perturbation", "current", {"state_reset": False})],
         [("bp", "spikes", {"refractory": 2.0}), ("dkp", "spikes", {"dropout": 0.3})],
         [("eprop", "poisson", {}), ("reinforce", "spikes", {})]]


@pytest.mark.parametrize("rule, coding, more, wiring", [
    (*KINDS[(k + n) % 3][(k + n) // 3 % 2], wiring) for k, wiring in enumerate(WIRINGS)
    for n in range(2)], ids=str)
def test_engines_agree(rule, coding, more, wiring):
    sizes = (4, 3, 2) if wiring == "signs" else (4, 3, 3, 2)
    outcome = run_draw(Draw(seed=3, sizes=sizes, rule=rule, coding=coding, wiring=wiring, **more))
    assert outcome.kind == "ran", outcome.detail


def test_the_table_of_a_wired_network():
    assert [(p.name, p.size, p.kind, p.layer, p.distance, p.sign) for p in E_I.populations] == [
        ("input", 4, "input", 0, None, 0), ("E", 8, "hidden", 2, 1, 1),
        ("I", 3, "hidden", 1, 2, -1), ("readout", 2, "readout", 3, 0, 0),
        ("error", 2, "error", None, None, 0)]
    assert [(p.name, p.kind) for p in E_I.projections] == [
        ("input_E", "forward"), ("E_E", "forward"), ("E_I", "forward"), ("I_E", "forward"),
        ("E_readout", "forward_readout")]
    assert isinstance(E_I["E_E"].connection, Sparse) and type(E_I["E_I"].connection) is Dense
    assert E_I["I_E"].delay == 0.002 and E_I.depth == 2
    assert [p.name for p in E_I.way(E_I["I"])] == ["E"] and E_I.way(E_I["E"]) == []
    one, same, other = (E_I.connect("E", "I", "more", p=0.4, seed=seed)["more"]
                        for seed in (0, 0, 1))
    assert one == same != other


@pytest.mark.parametrize("rule, engine", [
    ("opzo", {"trials": 24, "backend": "numpy"}), ("bp", {"engine": "rate", "epochs": 3}),
    ("opzo", {"engine": "rate", "updates": "step", "batch": 1, "epochs": 2})], ids=str)
def test_signs_bounds_and_pairs_stay(rule, engine):
    network = E_I.connect("E", "I", "fixed_one", plastic=False, weights=lambda i, j: 0.01*i + 0.1)
    run = bz.train(bz.Model(network, rule=rule, eta=60*Hz), XOR, seed=1, evaluations=1,
                   progress=False, **engine)
    start = initial_weights(run.model, np.random.default_rng(0))
    for name, sign in (("E_E", 1), ("E_I", 1), ("I_E", -1), ("E_readout", 1)):
        for weights in (run.matrix(f"{name}.w"), start[f"{name}.w"]):
            assert (sign * weights >= 0).all(), name
    for name in ("E_E", "I_E"):
        assert not run.matrix(f"{name}.w")[~E_I[name].connection.mask].any()
    assert run.matrix("E_E.w").any()
    expected = np.broadcast_to(0.01*np.arange(8)[:, None] + 0.1, (8, 3))
    np.testing.assert_allclose(run.matrix("fixed_one.w"), expected, rtol=1e-6)


def spikes_at(*steps, length=20):
    """A task of one trial: input neuron k spikes at step steps[k]."""
    given = np.zeros((2, length, len(steps)))
    given[:, list(steps), range(len(steps))] = 1
    return Task("spikes", given, np.eye(2)[[0, 0]], np.array([0, 0]), np.ones(length),
                {"train": np.array([0]), "validation": np.arange(0), "test": np.array([1])},
                "spikes", length*ms)


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_a_spike_arrives_after_its_delay(delay):
    """Two inputs that spike at steps 2 and 5; the readout of silent neurons' inputs moves then."""
    network = (bz.Network(inputs=2, readouts=2).population("H", 1)
               .connect("input", "H", weights=np.array([[0.2], [0.1]]), delay=delay*ms)
               .connect("H", "readout", weights=0.0))
    task = spikes_at(2, 5)
    run = bz.train(bz.Model(network, rule="readout_only", b=0, rho0=1e-9*Hz), task,
                   trials=1, evaluations=1, backend="numpy", progress=False)
    u = record(run, sample=0, plastic=False).values["H.u"][:, 0]
    moved = np.flatnonzero(np.diff(u) > 0.01)
    assert moved.tolist() == [2 + delay, 5 + delay]
    seen = 0.2*np.exp(-0.4) + 0.1*np.exp(-0.1)  # a step after the second spike has come
    assert u.max() == pytest.approx(seen, rel=1e-6)


def test_what_is_in_flight_goes_on_only_where_the_state_does():
    """And a run gives the same whatever the length of its chunks: what is in flight is state."""
    for carried in (False, True):
        network = wired("delayed", (4, 3, 2))
        model = bz.Model(**network, state_reset=not carried)
        text = str(model.for_task(XOR).equations())
        assert ("sent_0 = 0\n    sent_1 = 0" in text) != carried


def test_each_synapse_has_one_of_several_delays():
    network = BASE.connect("E", "E", p=0.9, delay=[1, 2, 5]*ms, seed=4)
    parts = [network[f"E_E_{k}"] for k in (1, 2, 3)]
    assert [p.delay for p in parts] == [0.001, 0.002, 0.005]
    whole = BASE.connect("E", "E", p=0.9, seed=4)["E_E"].connection
    pairs = sum(p.connection.mask.astype(int) for p in parts)
    assert np.array_equal(pairs, whole.mask if isinstance(whole, Sparse) else np.ones((3, 3)))


@pytest.mark.parametrize("engine", [{"trials": 400, "backend": "numpy"},
                                    {"engine": "rate", "epochs": 60, "rate": 0.05}], ids=str)
def test_without_hidden_neurons_the_delta_rule_learns(engine):
    """What one layer can: which of two inputs is the larger."""
    rng = np.random.default_rng(0)
    x = rng.random((80, 2))
    labels = (x[:, 0] > x[:, 1]).astype(int)
    splits = {"train": np.arange(60), "validation": np.arange(0), "test": np.arange(60, 80)}
    task = Task("larger", x, np.eye(2)[labels], labels, np.ones(30), splits, "current", 30*ms)
    run = bz.train(bz.Model([2, 2], rule="readout_only"), task, seed=2, evaluations=1,
                   progress=False, **engine)
    assert run.test_accuracy >= 0.85
    with pytest.raises(InputError, match="teaches hidden neurons.*use rule='readout_only'"):
        bz.Model([2, 2])


@pytest.mark.compiled
def test_a_compiled_program_has_the_pairs_and_delays():
    """The same bits from NumPy and from C++, in which the pairs stand as a table."""
    runs = [bz.train(bz.Model(E_I, rule="opzo"), XOR, trials=24, seed=3, evaluations=1,
                     backend=backend, progress=False) for backend in ("numpy", "standalone")]
    for name, value in runs[0].final.items():
        np.testing.assert_allclose(runs[1].final[name], value, rtol=1e-9, atol=1e-12, err_msg=name)
    assert pickle.loads(pickle.dumps(E_I)) == E_I
    assert pickle.loads(pickle.dumps(runs[0])).model.digest == runs[0].model.digest


@pytest.mark.parametrize("edit", [
    {"forward.spike": "u_post += w\nw += 0.02*xbar_post"},
    {"forward.spike": "w = 0.9*w\nu_post += w",
     "forward.post": "w += 0.03*xbar_pre\nu_post += 0.1*w"},
    {"forward_1.spike": "w *= 0.97\nu_post += w"}], ids=str)
def test_what_spikes_do_to_a_bounded_weight_is_said_of_the_weight(edit):
    """The bounds were put into its left-hand side, and the line was refused as unreadable."""
    ops = tuple(("edit", key, text) for key, text in edit.items())
    draw = Draw(7, (3, 3, 3, 2), "bp", coding="spikes", wiring="signs", ops=(ops,))
    outcome = run_draw(draw)
    assert outcome.kind == "ran", outcome.detail
    acting = [line for key, text in draw.model().blocks.items() for line in text.splitlines()
              if key.endswith((".spike", ".post")) and "clip(w" in line]
    assert acting and all(line.startswith(("u_post += ", "o_post += ")) for line in acting)


SIDE_BY_SIDE = BASE.population("F", 3).connect("E", "readout").connect("F", "readout")
REFUSED = {
    "sizes' words": (lambda: bz.Model(E_I, recurrent=True), "where its projections are connected"),
    "an architecture": (lambda: bz.Model("8x8-4C3-10", delay=2*ms), "an architecture has none"),
    "yes": (lambda: bz.Model([4, 3, 2], recurrent="yes"), "True or False, not 'yes'"),
    "half a neuron": (lambda: BASE.connect("E", "E", pairs=([0.5], [1])), r"i \(0 to 2\)"),
    "no delay": (lambda: BASE.connect("E", "E", delay=[]*ms), "not an empty list"),
    "NaN": (lambda: BASE.connect("E", "E", weights=("normal", np.nan, 1)), "finite numbers"),
    "a NaN bound": (lambda: BASE.connect("E", "E", low=np.nan), "leave no room"),
    "a letter": (lambda: BASE.population("É", 3), "letters, digits and _"),
    "layers that are none": (lambda: bz.Model(SIDE_BY_SIDE, local=True), "are no layers"),
    "no population": (lambda: BASE.connect("E", "X"), "unknown population 'X'.*E, error, input"),
    "no probability": (lambda: BASE.connect("E", "E", p=0), "above 0 and at most 1, not 0"),
    "no pair": (lambda: BASE.connect("E", "E", p=1e-9), "no neuron of E.*raise p"),
    "two ways": (lambda: BASE.connect("E", "E", p=.5, one_to_one=True), "one_to_one and p each"),
    "backwards": (lambda: BASE.connect("readout", "E"), "not from readout to E"),
    "twice": (lambda: BASE.population("E", 3), "called 'E'"),
    "a word": (lambda: BASE.population("hidden", 3), "'hidden' has a meaning of its own"),
    "no sign": (lambda: BASE.population("F", 3, sign=2), r"\+1, -1, or 0"),
    "a sign and a weight": (lambda: BASE.population("F", 3, sign=-1).connect("F", "E", weights=.3),
                            "from 0 to 0 is 0.3, outside -inf to 0, and all synapses of F.*-1"),
    "a sign and a bound": (lambda: BASE.population("F", 3, sign=-1).connect("F", "E", low=0),
                           "above 0 and below 0.*sign -1"),
    "bounds": (lambda: BASE.connect("E", "E", low=1, high=0.5), "leave no room"),
    "a size": (lambda: BASE.connect("E", "E", weights=np.ones(5)), "an array of 3 x 3"),
    "a distribution": (lambda: BASE.connect("E", "E", weights=("gamma", 1, 2)), "not .'gamma'"),
    "pairs": (lambda: BASE.connect("E", "E", pairs=([0, 1], [0, 9])), r"j \(0 to 2\)"),
    "a mask": (lambda: BASE.connect("E", "E", mask=np.ones((2, 2))), "every pair, 3 x 3"),
    "a delay": (lambda: BASE.connect("E", "E", delay=3), "delay is a time"),
    "a negative delay": (lambda: BASE.connect("E", "E", delay=-1*ms), "not negative"),
    "one to one": (lambda: BASE.connect("input", "E", one_to_one=True), "not 4 and 3"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_network_is_refused_at_once(what):
    make, says = REFUSED[what]
    with pytest.raises(InputError, match=says):
        make()


def test_a_population_that_leads_nowhere_has_no_way_for_a_perturbation():
    """That is said, and not what is missing for it; a rule without a perturbation takes it."""
    net = (bz.Network(inputs=4, readouts=2).population("A", 8).population("C", 3)
           .connect("input", "A").connect("A", "C").connect("A", "readout"))
    with pytest.raises(EquationError) as said:
        bz.Model(net, rule="opzo").check()
    assert str(said.value).startswith("C: no synapses lead from C to the readout")
    assert "missing" not in str(said.value)
    with pytest.raises(EquationError, match=r"(?s)2 mistakes.*C: no synapses.*'uu' is not known"):
        bz.Model(net, rule="opzo").edit(psi="psi = exp(-abs(uu - theta)) : 1").check()
    bz.Model(net, rule="dfa").check()


def test_delays_that_do_not_fit_a_task_are_refused_before_anything_runs():
    for delay, says in ((2.5*ms, "multiple of the time step, 1 ms; the nearest is 2 ms"),
                        (400*ms, "no spike arrives within a trial")):
        model = bz.Model([4, 3, 2], recurrent=True, delay=delay)
        for engine in ("spiking", "rate"):
            with pytest.raises(InputError, match=says):
                bz.train(model, XOR, trials=4, engine=engine, progress=False)
    late = BASE.connect("input", "E", delay=2*ms).connect("E", "readout")
    with pytest.raises(InputError, match="input sends a constant current"):
        bz.Model(late, coding="current").check()


def test_a_population_of_another_neuron_has_the_rule_s_surrogate():
    """Its own lines are those that differ; psi is the rule's or the surrogate's where they say.

    Around its own threshold, which its spikes raise.
    """
    network = (BASE.population("A", 2, neuron="alif").connect("input", "E").connect("E", "A")
               .connect("A", "readout"))
    adaptive = bz.Model(network, rule="dfa")
    assert "a_post" not in str(adaptive.blocks) and "da/dt = -a/tau_a : 1" in adaptive.blocks["A"]
    assert "- theta - a" in adaptive.blocks["A"] and "- a" not in adaptive.blocks["hidden"]
    assert adaptive.parameters["beta"] == 0.3
    for options, name, line in (
            ({"rule": "eprop"}, "psi", "psi = gamma*clip(1 - abs(u - {})/theta, 0, 1) : 1"),
            ({"rule": "dfa", "surrogate": "localzo_normal"}, "distance",
             "distance = abs(u - {})/delta_z : 1")):
        changed = bz.Model(network, **options)
        for block, threshold in (("hidden", "theta"), ("A", "(theta + a)")):
            lines = [x for x in changed.blocks[block].splitlines()
                     if x.startswith(("psi", "distance")) and (block == "hidden" or name in x)]
            assert line.format(threshold) in lines and len(lines) == 1 + (
                block == "hidden" and name == "distance")
    perturbed = bz.Model(network, rule="opzo").check()
    assert "+ sigma*push" in perturbed.blocks["hidden"]


@pytest.mark.parametrize("neuron, entered", [
    ("erf", "u"), ("double_exponential", "arrived"), ("two_compartment", "v"),
    ("conductance", "g_e g_i")])
def test_a_perturbation_enters_what_spikes_raise_in_each_neuron(neuron, entered):
    """Also where the model's own neuron gets spikes from the input alone."""
    network = (BASE.population("A", 2, neuron=neuron).connect("input", "E").connect("E", "A")
               .connect("A", "readout"))
    text = bz.Model(network, rule="opzo").check().equations()
    for name, words in (("E", ["u"]), ("A", entered.split())):
        assert [line.partition("/")[0] for line in text[name].splitlines()
                if "sigma*push" in line] == [f"d{word}" for word in words]


def test_dropout_stands_before_the_psi_of_each_neuron():
    """A population keeps its own, unless the rule or the surrogate says what psi is."""
    network = (BASE.population("A", 2, neuron="erf").connect("input", "E").connect("E", "A")
               .connect("A", "readout"))

    def lines(**options):
        text = bz.Model(network, dropout=0.3, **options).check().equations()
        return [[line.strip() for line in text[name].splitlines()
                 if line.strip().startswith(("psi", "xbar +="))] for name in ("E", "A")]
    assert lines(rule="dfa") == [
        ["psi = mask*(4*p*(1 - p)) : 1", "xbar += mask"],
        ["psi = mask*(exp(-((u - theta)/Delta)**2/2)) : 1", "xbar += mask"]]
    for options in ({"rule": "eprop"}, {"rule": "dfa", "surrogate": "localzo"}):
        one, other = lines(**options)
        assert one == other and sum("psi = mask*(" in line for line in one) == 1


def test_a_model_shows_its_network():
    model = bz.Model(E_I, rule="opzo")
    page = repr(model)
    assert "I (3, inhibitory) -> E (8, excitatory): I_E, 17 of 24 pairs, delay 2 ms, within -inf " \
        "to 0" in page
    assert "[E_I.spike] E onto I only, at a presynaptic spike: u_post += clip(w, 0, inf)" in page
    picture = model._repr_html_()
    assert picture.count("<rect") == 4 and picture.count("marker-end") == 5
    assert "== Network ==" not in repr(bz.Model([4, 3, 2]))


def test_dropout_is_where_hidden_neurons_send():
    """Through fixed synapses too; what comes from the input is not dropped."""
    network = (BASE.connect("input", "E").connect("E", "E", plastic=False).connect("E", "readout")
               .connect("input", "readout"))
    blocks = bz.Model(network, rule="dfa", dropout=0.5, coding="spikes").check().blocks
    assert blocks["fixed.spike"] == blocks["forward.spike"] == "u_post += w*mask_pre"
    assert blocks["forward_readout.spike"] == "o_post += w*mask_pre"
    assert blocks["input_E.spike"] == "u_post += w"
    assert blocks["input_readout.spike"] == "o_post += w"


def test_an_input_reaches_every_population_that_it_projects_onto():
    """Whatever its projections are called, constant currents act at the trial's start."""
    network = (BASE.connect("input", "E", "forward_1").connect("E", "readout")
               .connect("input", "readout"))
    blocks = bz.Model(network, rule="dfa", coding="current").check().blocks
    assert blocks["forward_1.onset"] == blocks["input_readout.onset"] == "drive_post += w*x_pre"
    assert "do/dt = (drive - o)/tau_o : 1" in blocks["readout"]


def test_an_edit_of_all_projections_reaches_the_bounded_ones():
    """It was laid below the text that bounds them: half a network was edited, without a word."""
    model = bz.Model(E_I, rule="opzo").edit({"forward.spike": "u_post += 2*w"}).check()
    assert model.blocks["forward.spike"] == "u_post += 2*w"
    assert model.blocks["E_I.spike"] == "u_post += 2*clip(w, 0, inf)"
    assert model.blocks["I_E.hold"] == "push_post += 2*clip(w, -inf, 0)*alpha*z_pre"
    again = model.edit({"E_I.spike": model.blocks["E_I.spike"]})
    assert again.blocks == model.blocks
    assert model.replace(rule="dfa").blocks["E_I.spike"] == "u_post += 2*clip(w, 0, inf)"


def test_masks_of_numbers_and_delays_that_no_synapse_has():
    mask = BASE.connect("E", "E", mask=np.ones((3, 3)), autapses=False)["E_E"].connection.mask
    assert np.array_equal(mask, ~np.eye(3, dtype=bool))
    few = BASE.connect("E", "E", pairs=([0], [1]), delay=np.arange(1, 9)*ms)
    assert [p.connection.synapses for p in few.projections] == [1]


def test_what_is_measured_drawn_and_exported_of_a_wired_network():
    """Pictures said "hidden 1 ... 4" of projections, had no rates, and a recording fewer pairs."""
    run = bz.train(bz.Model(E_I, rule="opzo"), XOR, trials=6, backend="numpy", progress=False)
    titles = [ax.get_title(loc="left") for ax in run.plot().axes]
    assert titles[2:] == ["From input into E", "From E into E", "Into I", "From I into E",
                          "Into readout"]
    names = {text.get_text() for text in run.plot_rates().texts}
    assert names == {"E", "I"}
    recording = record(run)
    weights = recording.values["E_E.w"].reshape(-1, 8, 8)
    absent = ~E_I["E_E"].connection.mask
    assert np.all(weights[:, absent] == 0) and np.all(weights[0, ~absent] != 0)
    change = bz.plots.anatomy(recording, ("I", 2)).axes[6].lines[1].get_ydata()
    onto = recording.values["E_I.w"].reshape(-1, 8, 3)[:, :, 2]
    assert np.abs(change).max() == pytest.approx(1e3 * np.abs(onto - onto[0]).max())
    with pytest.raises(InputError, match=r"hidden populations and their sizes: E \(8\), I \(3\)"):
        bz.plots.anatomy(recording, ("X", 0))
    assert run.to_xarray()["final_E_E_w"].dims == ("E", "E_post")
    fixed = E_I.connect("E", "I", "still", plastic=False)
    twice = bz.train(bz.Model(fixed, rule="opzo"), XOR, trials=1, backend="numpy", progress=False)
    rate, found = float(twice.arrays["rates/E"][-1]), synaptic_operations(twice)["E"]
    synapses = fixed["E_E"].connection.synapses + 2 * 8 * 3 + 8 * 2
    assert rate > 0 and found == pytest.approx(rate * float(XOR.duration) * synapses)


def test_a_recurrent_network_has_smaller_rates_and_weaker_synapses_of_its_own():
    """With rates that were searched in layers, rules drove recurrent networks to chance."""
    task = bz.tasks.temporal_patterns()
    layers, loop = (bz.Model([80, 40, 10], rule="opzo", recurrent=r) for r in (False, True))
    taken = tuned_parameters(task.name, layers)
    assert taken["eta"] > 20*Hz and tuned_parameters(task.name, loop) == {}
    assert untuned(task.name, loop) == ["eta", "eta_o"] and key_of(loop).startswith("opzo@")
    plain = loop.for_task(task)
    assert plain.parameters["eta"] < 2*Hz and plain.parameters["b"] == 1
    start = initial_weights(plain, np.random.default_rng(0))
    within = np.abs(start["recurrent_1.w"]).max() / np.sqrt(3/40)
    assert within == pytest.approx(0.25*float(plain.parameters["gain"]), rel=0.01)


@pytest.mark.compiled
def test_a_recurrent_network_learns():
    task = bz.tasks.temporal_patterns(classes=4, inputs=40)
    reached = [bz.train(bz.Model([40, 24, 4], rule=rule, recurrent=True, b=0.0), task, trials=800,
                        seed=31, progress=False, evaluations=1).test_accuracy
               for rule in ("opzo", "readout_only")]
    assert reached[0] > 0.9 > reached[1]


def test_several_delays_do_not_make_the_drive_larger():
    """Each part had the spread of its own fan-in: three delays made weights sqrt(3) as large."""
    power = []
    for delay in (2 * ms, [1, 2, 3] * ms):
        model = bz.Model(bz.Network(inputs=40, readouts=2).population("F", 300).connect(
            "input", "F", delay=delay).connect("F", "readout"))
        start = initial_weights(model, np.random.default_rng(0))
        power.append(sum(np.square(value).sum() for name, value in start.items()
                         if name.startswith("input_F")) / 300)
    assert power[1] == pytest.approx(power[0], rel=0.05)
