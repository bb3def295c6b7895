"""How layers are connected: forward, transpose and outer belong together; architectures as text."""

from dataclasses import replace
from functools import partial

import jax
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from brian2 import Hz, ms
from scipy.signal import correlate2d

import bioopzo as bz
from bioopzo.engines.rate import arrays
from bioopzo.engines.rate.settings import open_engine, settings
from bioopzo.errors import EquationError, InputError
from bioopzo.network.connections import Convolution, Dense, Pooled, architecture
from bioopzo.training.start import initial_weights

matplotlib.use("Agg")
RUNS_JAX_OPERATION_BY_OPERATION = True  # NumPy has no convolution of ours
#: All kinds: single neurons, images that are no squares or smaller than the kernel, one pixel left
#: after pooling, one or two weights a channel. Few, for each is compiled for itself.
CONNECTIONS = [
    Dense(1, 1), Dense(4, 3), Dense(2, 6),
    Pooled((3, 2, 1), 1, 4), Pooled((4, 6, 2), 2, 3), Pooled((3, 6, 3), 3, 1),
    Convolution((1, 1, 1), 1, 1, standardise=False), Convolution((3, 2, 2), 2, 1),
    Convolution((4, 3, 2), 3, 3), Convolution((5, 2, 3), 3, 5, standardise=False),
    Convolution((2, 3, 1), 2, 5, gain=2.0), Convolution((4, 4, 3), 1, 3, 2, standardise=False),
    Convolution((6, 4, 1), 2, 3, 2, gain=2.0), Convolution((6, 3, 3), 4, 1, 3, gain=2.0),
    Convolution((2, 2, 2), 2, 5, 2), Convolution((4, 6, 2), 2, 3, 2, planes=True)]
each = pytest.mark.parametrize("connection", CONNECTIONS, ids=str)


def activity(connection, rows=3, seed=0, dtype=float):
    """P, Q and w of a connection at random."""
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(0, 1, shape).astype(dtype) for shape in (
        (rows, connection.pre), (rows, connection.post), connection.shape))


def exact(function):
    """An operation of the engine, compiled, in the precision of what it is given."""
    compiled = jax.jit(function, static_argnums=0)

    def inside(connection, *values):
        with jax.enable_x64(True):
            return np.asarray(compiled(connection, *values))
    return inside


def of_many_weights(connection, P, many):
    """Forward through one array of weights after the other."""
    return jax.vmap(lambda w: arrays.forward(connection, P, w))(many)


forward, transpose, outer, average, effective, forward_many = map(exact, (
    arrays.forward, arrays.transpose, arrays.outer, arrays.average, arrays.effective,
    of_many_weights))


# ---------------------------------------------------------------------------- the three operations

@each
def test_transpose_is_the_adjoint_of_forward(connection):
    """<forward(P), Q> = <P, transpose(Q)>, for any shapes."""
    for seed in range(4):
        P, Q, w = activity(connection, seed=seed)
        there, back = forward(connection, P, w), transpose(connection, Q, w)
        assert there.shape == Q.shape and back.shape == P.shape
        assert np.vdot(there, Q) == pytest.approx(np.vdot(P, back), rel=1e-10, abs=1e-10)


# Two standardised weights are 1 and -1 whatever they were: no derivative to speak of.
@pytest.mark.parametrize("connection", [c for c in CONNECTIONS if not (
    isinstance(c, Convolution) and c.standardise and c.fan_in < 3)], ids=str)
def test_outer_is_the_derivative_by_the_weights(connection):
    """d<forward(P, w), Q>/dw by central differences, through standardisation and pooling."""
    for seed in range(4):
        P, Q, w = activity(connection, seed=seed)
        found, size = outer(connection, P, Q, w), 1e-5
        assert found.shape == w.shape
        moved = w + size*np.eye(w.size).reshape(w.size, *w.shape), \
            w - size*np.eye(w.size).reshape(w.size, *w.shape)
        ahead, behind = (forward_many(connection, P, many) for many in moved)
        expected = np.einsum("krn,rn->k", ahead - behind, Q).reshape(w.shape)/(2*size)
        np.testing.assert_allclose(found, expected, rtol=1e-4,
                                   atol=1e-5*max(1, np.abs(found).max()))


@each
def test_rows_are_independent_and_outer_is_summed_over_them(connection):
    P, Q, w = activity(connection)
    rows = [slice(k, k + 1) for k in range(len(P))]
    alone = [forward(connection, P[k], w) for k in rows]
    np.testing.assert_allclose(forward(connection, P, w), np.concatenate(alone), atol=1e-12)
    parts = [outer(connection, P[k], Q[k], w) for k in rows]
    np.testing.assert_allclose(outer(connection, P, Q, w), sum(parts), atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each
def test_results_are_in_the_precision_given(connection, dtype):
    """What JAX derives from the precision of arguments, with nothing compiled."""
    P, Q, w = activity(connection, dtype=dtype)
    with jax.enable_x64(True):
        for operation, values in ((arrays.forward, (P, w)), (arrays.transpose, (Q, w)),
                                  (arrays.outer, (P, Q, w))):
            assert jax.eval_shape(partial(operation, connection), *values).dtype == dtype


@each
def test_the_average_is_the_mean_over_places_summed_over_rows(connection):
    """What scales a weight itself: one place all to all, every pixel in a convolution."""
    Q = activity(connection)[1]
    channels = connection.shape[1]
    expected = Q.reshape(len(Q), -1, channels).mean(axis=1).sum(axis=0)
    np.testing.assert_allclose(
        np.broadcast_to(average(connection, Q), connection.shape),
        np.broadcast_to(expected, connection.shape), atol=1e-12)


# ---------------------------------------------------------------------------- known answers

@pytest.mark.parametrize("height, width, deep, channels, kernel", [
    (5, 7, 1, 1, 3), (6, 4, 3, 2, 3), (4, 4, 2, 3, 5), (3, 5, 2, 2, 1)])
def test_a_convolution_is_that_of_scipy(height, width, deep, channels, kernel):
    """Cross-correlation with zeros around, summed over the channels of the image."""
    connection = Convolution((height, width, deep), channels, kernel, standardise=False)
    P, _, w = activity(connection)
    found = forward(connection, P, w).reshape(-1, height, width, channels)
    kernels = w.reshape(kernel, kernel, deep, channels)
    for row, image in enumerate(P.reshape(-1, height, width, deep)):
        for c in range(channels):
            expected = sum(correlate2d(image[:, :, d], kernels[:, :, d, c], mode="same")
                           for d in range(deep))
            np.testing.assert_allclose(found[row, :, :, c], expected, atol=1e-12)


@pytest.mark.parametrize("made", [
    lambda **more: Convolution((4, 6, 3), 2, 3, 2, **more),
    lambda **more: Pooled((4, 6, 3), 2, 5, **more)], ids=["convolution", "pooled"])
def test_inputs_come_plane_by_plane(made):
    """As tasks lay them: all red pixels, then all green ones, or ON, then OFF events."""
    images = np.random.default_rng(0).normal(0, 1, (2, 3, 4, 6))
    mixed, planes = made(), made(planes=True)
    w, Q = activity(mixed)[2], activity(mixed, rows=2)[1]
    rows, places = images.reshape(2, -1), images.transpose(0, 2, 3, 1).reshape(2, -1)
    np.testing.assert_allclose(forward(planes, rows, w), forward(mixed, places, w), atol=1e-12)
    np.testing.assert_allclose(outer(planes, rows, Q, w), outer(mixed, places, Q, w), atol=1e-12)
    back = transpose(mixed, Q, w).reshape(2, 4, 6, 3).transpose(0, 3, 1, 2).reshape(2, -1)
    np.testing.assert_allclose(transpose(planes, Q, w), back, atol=1e-12)


def test_pooling_averages_windows():
    """A 4x4 image of 0 ... 15: windows of 2x2 have the means 2.5, 4.5, 10.5, 12.5."""
    image = np.arange(16.0)[None]
    pooled = Pooled((4, 4, 1), 2, 4)
    np.testing.assert_allclose(forward(pooled, image, np.eye(4)), [[2.5, 4.5, 10.5, 12.5]])
    spread = transpose(pooled, np.array([[4.0, 0, 0, 8]]), np.eye(4)).reshape(4, 4)
    np.testing.assert_allclose(spread, [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 2, 2], [0, 0, 2, 2]])
    same = Convolution((4, 4, 1), 1, 1, 2, standardise=False)
    np.testing.assert_allclose(forward(same, image, np.ones((1, 1))), [[2.5, 4.5, 10.5, 12.5]])


def test_standardised_weights_have_no_mean_and_the_gain_s_size():
    """Mean 0 and sum of squares gain**2 in every channel, whatever w's offset and scale are."""
    connection = Convolution((6, 6, 3), 4, 3, gain=1.5)
    w = activity(connection)[2]
    acting = effective(connection, w)
    np.testing.assert_allclose(acting.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose((acting**2).sum(axis=0), 1.5**2, rtol=1e-6)
    np.testing.assert_allclose(effective(connection, 5 + 3*w), acting, rtol=1e-6)
    assert effective(connection, w.astype(np.float32)).dtype == np.float32
    P, Q, _ = activity(connection)
    np.testing.assert_allclose(outer(connection, P, Q, w).mean(axis=0), 0, atol=1e-12)
    plain = replace(connection, standardise=False)
    assert not np.allclose(outer(plain, P, Q, w).mean(axis=0), 0)


def test_equal_weights_stay_finite():
    connection = Convolution((4, 4, 1), 2)
    P, Q, _ = activity(connection)
    w = np.ones(connection.shape)
    assert (effective(connection, w) == 0).all()
    assert np.isfinite(outer(connection, P, Q, w)).all()


@pytest.mark.parametrize("connection, shape, pre, post, fan_in, fan_out", [
    (Dense(7, 3), (7, 3), 7, 3, 7, 3),
    (Pooled((4, 6, 2), 2, 5), (12, 5), 48, 5, 12, 5),
    (Convolution((8, 6, 3), 4, 5), (75, 4), 144, 192, 75, 68),
    (Convolution((8, 6, 3), 4, 3, 2), (27, 4), 144, 48, 27, 5/2*7/3*4)], ids=str)
def test_sizes(connection, shape, pre, post, fan_in, fan_out):
    assert connection.shape == shape
    assert (connection.pre, connection.post) == (pre, post)
    assert (connection.fan_in, connection.fan_out) == (fan_in, pytest.approx(fan_out))


@pytest.mark.parametrize("connection", [
    Convolution((5, 2, 3), 3, 5), Convolution((6, 4, 1), 2, 3, 2), Convolution((2, 2, 2), 2, 5, 2),
    Pooled((4, 6, 2), 2, 3)], ids=str)
def test_a_spike_reaches_as_many_neurons_as_its_operations_say(connection):
    """Counted, one spike after the other: at borders it is fewer than kernel^2*channels."""
    if isinstance(connection, Convolution):
        connection = replace(connection, standardise=False)
    reached = forward(connection, np.eye(connection.pre), np.ones(connection.shape)) != 0
    assert connection.fan_out == pytest.approx(reached.sum() / connection.pre)


# ---------------------------------------------------------------------------- architectures

@pytest.mark.parametrize("text, sizes, made", [
    ("28x28-32C3-AP2-64C3-AP2-10", (784, 25088, 12544, 10), {
        "forward_1": Convolution((28, 28, 1), 32),
        "forward_2": Convolution((28, 28, 32), 64, 3, 2),
        "forward_3": Pooled((14, 14, 64), 2, 10)}),
    ("3x32x16-8C5-FC100-10", (1536, 4096, 100, 10), {
        "forward_1": Convolution((32, 16, 3), 8, 5, planes=True)}),
    ("2x4x6-AP2-7-10", (48, 7, 10), {"forward_1": Pooled((4, 6, 2), 2, 7, planes=True)}),
    ("8X8 - 20 - 10", (64, 20, 10), {}),
    ("8x8-AP2-AP2-20-10", (64, 20, 10), {"forward_1": Pooled((8, 8, 1), 4, 20)}),
    ("1x6x6-AP3-2C1-5", (36, 8, 5), {"forward_1": Convolution((6, 6, 1), 2, 1, 3)})])
def test_architectures(text, sizes, made):
    assert architecture(text) == (sizes, made)
    assert bz.Model(text).sizes == sizes and bz.Model(text).layout == text


def test_the_gain_is_the_model_s():
    made = bz.Model("8x8-4C3-AP2-10", gain=3.0).connections
    assert made["forward_1"].gain == 3.0 and architecture("8x8-4C3-10", 0.5)[1][
        "forward_1"].gain == 0.5
    assert not bz.Model([64, 5, 10]).connections


@pytest.mark.parametrize("text, part", [
    ("", "begins with the image.*not ''"), ("784-10", "begins with the image.*not '784'"),
    ("28x0-10", "begins with the image.*not '28x0'"), ("axb-10", "not 'axb'"),
    ("1x2x3x4-10", "not '1x2x3x4'"), ("32C3-10", "not '32C3'"),
    ("8x8-4C2-10", "'4C2' is not a part.*odd kernel"), ("8x8-0C3-10", "'0C3' is not a part"),
    ("8x8-4C0-10", "'4C0' is not a part"), ("8x8-MP2-10", "'MP2' is not a part"),
    ("8x8-4c3-10", "'4c3' is not a part"), ("8x8--10", "'' is not a part"),
    ("8x8-0-10", "'0' is not a part"), ("8x8-4C3x-10", "'4C3x' is not a part"),
    ("8x8-AP3-10", "'AP3' does not divide an image of 8x8"),
    ("8x8-AP0-10", "'AP0' does not divide"), ("8x8-AP4-AP4-10", "'AP4' does not divide"),
    ("8x8-20-4C3-10", "'4C3' needs an image, but follows a layer"),
    ("8x8-20-AP2-10", "'AP2' needs an image"),
    ("8x8-4C3-4C3-AP2", "nothing follows 'AP2'")])
def test_what_cannot_be_read_is_named(text, part):
    with pytest.raises(InputError, match=f"(?s)architecture {text!r}: .*{part}"):
        architecture(text)
    with pytest.raises(InputError):
        bz.Model(text)


@pytest.mark.parametrize("text, sizes", [("8x8", r"\[64\]"), ("8x8-10", r"\[64, 10\]")])
def test_a_model_needs_a_hidden_layer(text, sizes):
    with pytest.raises(InputError, match=f"at least one hidden layer.*{sizes}"):
        bz.Model(text)


# ---------------------------------------------------------------------------- in a model

@pytest.fixture(scope="module")
def digits():
    task = bz.tasks.digits()
    sizes = {"train": 300, "validation": 20, "test": 100}
    return task.replace(splits={k: v[:sizes[k]] for k, v in task.splits.items()})


@pytest.mark.parametrize("rule, least", [("bp", 0.6), ("opzo", 0.6)])
def test_a_convolutional_network_learns(digits, rule, least, tmp_path):
    """320 digits, 4 epochs."""
    model = bz.Model("8x8-4C3-AP2-10", rule=rule)
    run = bz.train(model, digits, engine="rate", epochs=4, batch=8, rate=1e-2, evaluations=1,
                   progress=False, save=tmp_path / "run")
    assert run.test_accuracy > least
    assert run.matrix("forward_1.w").shape == (9, 4)
    assert run.matrix("forward_2.w").shape == (64, 10)
    assert run.matrix("forward_1.w", {"forward_1.w": run.arrays["snapshots/forward_1.w"][0]}
                      ).shape == (9, 4)
    loaded = bz.Run.load(tmp_path / "run")
    assert np.array_equal(loaded.matrix("forward_1.w"), run.matrix("forward_1.w"))
    if rule == "opzo":
        assert run.matrix("feedback_1.M").shape == (10, 256)
        figure = run.plot()
        assert len(figure.axes) >= 2
        plt.close(figure)
        found = bz.gradients.update_angle(run, batches=2)
        assert set(found) == {"forward_1.w", "forward_2.w"}


@pytest.mark.parametrize("backend", ["numpy", None])
def test_the_spiking_engine_refuses_it(digits, backend):
    with pytest.raises(InputError, match="'8x8-4C3-AP2-10' is an architecture.*engine='rate'"):
        bz.train(bz.Model("8x8-4C3-AP2-10"), digits, trials=2, backend=backend, progress=False)


def test_sizes_that_do_not_fit_the_task_are_refused(digits):
    with pytest.raises(InputError, match="49 inputs"):
        bz.train(bz.Model("7x7-4C3-10"), digits, engine="rate", progress=False)


def test_the_layout_is_part_of_the_model_s_identity():
    """The same sizes and text, connected another way."""
    one, other = bz.Model("8x8-4C3-10"), bz.Model([64, 256, 10])
    assert one.sizes == other.sizes and one.digest != other.digest
    assert "8x8-4C3-10" in repr(one)


@pytest.mark.parametrize("factor", ["", "*live_post"])
def test_shared_weights_decay_once(digits, factor):
    """Whatever the number of places: 0.1 Hz for 60 ms are 0.6 %, as in a layer all to all."""
    for sizes in ([64, 8, 10], "8x8-2C3-10") if factor else ("8x8-AP2-8-10",):
        edits = {"forward": f"dw/dt = -eta*xbar_pre*psi_post*g_post - 0.1*Hz*w{factor} : 1"}
        if factor:
            edits["hidden"] = bz.Model([64, 8, 10], rule="bp").blocks["hidden"] + "\nlive = 1 : 1"
        model = bz.Model(sizes, rule="bp", eta=0*Hz).edit(edits)
        run = bz.train(model, digits, engine="rate", trials=8, batch=8, evaluations=1,
                       optimizer="sgd", precision="double", compiled=False, progress=False)
        start = run.arrays["snapshots/forward_1.w"][0]
        np.testing.assert_allclose(run.final["forward_1.w"], start*(1 - 0.006), rtol=1e-9)


def test_a_perturbation_passes_standardised_weights_in_its_full_size():
    """What a convolution carries is alpha*z through the weights in force, not z alone."""
    digits = bz.tasks.digits(duration=4*ms, dt=1*ms, warmup=0*ms)
    model = bz.Model("8x8-4C3-AP2-3C3-10", rule="node_perturbation", alpha=80*Hz).for_task(digits)
    engine = open_engine(model, digits, settings(optimizer="sgd", compiled=True),
                         look=["hidden_1.z", "hidden_2.push"])
    w = initial_weights(model, np.random.default_rng(1))
    engine.put(w)
    _, found = engine.changes(digits.inputs[:4], digits.targets[:4].astype(np.float32))
    connection = model.layers["forward_2"].connection
    expected = forward(connection, 80 * np.asarray(found["hidden_1.z"], float),
                       np.reshape(w["forward_2.w"], connection.shape))
    np.testing.assert_allclose(found["hidden_2.push"], expected, rtol=1e-4, atol=1e-3)


def same_as_all_to_all(rule, edits, activity="deterministic", **options):
    """A convolutional network, beside the same one whose synapses are all there, one by one.

    Values of neurons and readouts in every step have to be the same; a shared weight has to move by
    the sum of what its synapses ask for, through standardisation and pooling. Returns the changes.
    """
    task = bz.tasks.digits(duration=12*ms, dt=1*ms, warmup=4*ms)
    shared, apart = (bz.Model(sizes, rule=rule, gain=6.0, **options).edit(edits).for_task(task)
                     for sizes in ("8x8-3C3-AP2-4C3-10", [64, 192, 64, 10]))
    w, back = initial_weights(shared, np.random.default_rng(3)), {}
    every = {**initial_weights(apart, np.random.default_rng(3)), **w}
    connections = {p.name: p.connection for p in shared.network.projections}

    def synapses(name, values):
        connection = connections[name]
        return arrays.forward(connection, np.eye(connection.pre),
                              values.reshape(connection.shape)).ravel()

    with jax.enable_x64(True):
        for key in ("forward_1.w", "forward_2.w"):
            alone, back[key] = jax.vjp(partial(synapses, key[:-2]), np.asarray(w[key], float))
            every[key] = np.array(alone)
    found = []
    for model, weights in ((shared, w), (apart, every)):
        engine = open_engine(model, task, settings(
            optimizer="sgd", compiled=False, precision="double", activity=activity),
            look=["hidden_1.xbar", "hidden_2.u", "readout.o"])
        engine.put(weights)
        found.append(engine.changes(task.inputs[:5], task.targets[:5]))
    (changes, seen), (asked, expected) = found
    for name, value in expected.items():
        np.testing.assert_allclose(seen[name], value, rtol=1e-9, atol=1e-12, err_msg=name)
    assert changes.keys() == asked.keys()
    with jax.enable_x64(True):
        for key, values in changes.items():
            value = back[key](np.ravel(asked[key]))[0] if key in back else asked[key]
            np.testing.assert_allclose(np.ravel(values), np.ravel(value), rtol=1e-8, atol=1e-12,
                                       err_msg=key)
    return changes


@pytest.mark.parametrize("rule, activity, options", [
    ("bp", "deterministic", {}), ("dfa", "rates", {}), ("eprop", "rates", {}),
    ("node_perturbation", "deterministic", {}), ("reinforce", "spikes", {}),
    ("opzo", "rates", {"local": True})])
def test_a_convolution_is_its_synapses_one_by_one(rule, activity, options):
    changes = same_as_all_to_all(rule, {}, activity, **options)
    assert all(np.any(changes[key]) for key in ("forward_1.w", "forward_2.w", "forward_3.w"))


#: Factors of plasticity in texts that are drawn.
OF_PRE = ("xbar_pre", "sin(xbar_pre)", "xbar_pre**2", "(xbar_pre - 0.2)", "int(xbar_pre > 0.5)",
          "exp(-xbar_pre)", "xbar_pre*clip(xbar_pre, 0, 1)")
OF_POST = ("g_post", "psi_post", "u_post", "tanh(u_post)", "(g_post - 0.1*u_post)", "1",
           "xbar_post")
#: How an eligibility may decay, and what a weight takes of it when the trial ends.
DECAYS = ("", "- E/(10*ms)", "- u_post*E/(9*ms)", "- E*int(u_post > 0.2)/(5*ms)",
          "- 20*Hz*E*g_post")
TAKEN = ("modulator_post*E", "modulator_post*(E - 0.2*E)", "modulator_post*E - 0.01*E",
         "E*modulator_post*tanh(u_post)")


def drawn_terms(rng):
    """A sum of products of factors."""
    return " + ".join(f"{rng.normal():.3f}*Hz*{rng.choice(OF_PRE)}*{rng.choice(OF_POST)}"
                      f"*{rng.choice(OF_POST)}" for _ in range(rng.integers(1, 4)))


@pytest.mark.parametrize("seed", range(3))
def test_so_it_is_for_plasticity_that_is_drawn(seed):
    rng = np.random.default_rng(seed)
    text = f"dw/dt = -eta*xbar_pre*psi_post*g_post + {drawn_terms(rng)} : 1"
    same_as_all_to_all("bp", {"forward": text}, rng.choice(["deterministic", "rates"]))


@pytest.mark.parametrize("seed", range(3))
def test_so_it_is_for_weights_that_wait_for_the_end_of_the_trial(seed):
    rng = np.random.default_rng(seed)
    edits = {"forward": f"w : 1\ndE/dt = {drawn_terms(rng)} {rng.choice(DECAYS)} : 1",
             "forward.trial": f"w -= eta*({rng.choice(TAKEN)})/alpha\nE = 0"}
    same_as_all_to_all("node_perturbation", edits, rng.choice(["deterministic", "rates"]))


@pytest.mark.parametrize("text", ["0.3*Hz*g_post", "0.1*Hz"])
def test_how_often_a_term_counts_is_not_left_open_in_a_convolution(digits, text):
    """(xbar_pre - 0.2)*g_post was a sum over all places, and multiplied out, in part, a mean."""
    edited = {"forward": f"dw/dt = -eta*xbar_pre*psi_post*g_post - {text} : 1"}
    options = dict(engine="rate", trials=8, batch=8, compiled=False, progress=False)
    with pytest.raises(EquationError, match="open whether it counts once or for every place"):
        bz.train(bz.Model("8x8-2C3-10", rule="bp").edit(edited), digits, **options)
    for sizes in ([64, 5, 10], "8x8-AP2-5-10"):  # no weight is shared by places
        assert bz.train(bz.Model(sizes, rule="bp").edit(edited), digits, **options).complete


@pytest.mark.parametrize("key, text", [
    ("forward.trial", "w -= eta*modulator_post*(E + 0.01*second)/(alpha*tau_o)\nE = 0*second"),
    ("forward.trial", "w -= eta*modulator_post*E/(alpha*tau_o) + 0.01\nE = 0*second"),
    ("forward.trial", "w -= 0.01*modulator_post\nE = 0*second"),
    ("forward", "w : 1\ndE/dt = sensitivity*f_post + 0.001*w : second")])
def test_nor_is_it_where_the_weight_waits_for_the_end_of_the_trial(digits, key, text):
    """E of a convolution is a sum over places, and 0.01 beside it counted once."""
    model = bz.Model("8x8-2C3-10", rule="node_perturbation").edit({key: text})
    options = dict(engine="rate", trials=8, batch=8, compiled=False, progress=False)
    with pytest.raises(EquationError, match="forward_1: .* in a convolution"):
        bz.train(model, digits, **options)
    all_to_all = bz.Model([64, 5, 10], rule="node_perturbation").edit({key: text})
    assert bz.train(all_to_all, digits, **options).complete


def test_what_has_no_meaning_in_a_convolution_is_refused(digits):
    """Synapses there share a weight: it can decay, but not with each one's own activity."""
    options = dict(engine="rate", trials=8, batch=8, compiled=False, progress=False)
    oja = {"forward": "dw/dt = -eta*xbar_pre*psi_post*g_post - 0.1*Hz*xbar_pre*w : 1"}
    model = bz.Model("8x8-2C3-10", rule="bp").edit(oja)
    with pytest.raises(EquationError, match="forward_1.*in a convolution.*reads forward_1.w"):
        bz.train(model, digits, **options)
    assert bz.train(bz.Model([64, 5, 10], rule="bp").edit(oja), digits, **options).complete
    model = bz.Model("8x8-AP2-5-10", rule="node_perturbation")
    with pytest.raises(InputError, match="forward_1.E.*only be read linearly.*updates='trial'"):
        bz.train(model, digits, updates="step", **options)
    assert bz.train(model, digits, **options).complete
