"""Figures hold the numbers they were given, look the same everywhere and leave no trace."""

from itertools import pairwise
from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from scipy import stats

from bioopzo import plots
from bioopzo.errors import InputError
from bioopzo.plots.marks import _apart
from bioopzo.run import Run

matplotlib.use("Agg")
TRIALS = np.array([0, 100, 200, 400])


def run(rule="opzo", seed=0, task="digits", accuracy=True, trials=TRIALS):
    """A run whose numbers depend on rule and seed only."""
    rng = np.random.default_rng([seed, *rule.encode()])
    curve = np.sort(rng.uniform(0.1, 0.95, len(trials)))
    arrays = {
        "curve/trials": trials, "curve/accuracy": curve if accuracy else np.array([]),
        "curve/loss": 2 - curve, "rates/hidden_1": 30 + trials / 20,
        "rates/hidden_2": 20 + 0 * trials,
    }
    for k, shape in enumerate(((6, 5), (5, 4), (4, 3)), 1):
        arrays[f"snapshots/forward_{k}.w"] = rng.normal(size=(len(trials), np.prod(shape)))
    meta = {"rule": rule, "task": task, "seed": seed, "sizes": [6, 5, 4, 3],
            "test_accuracy": float(curve[-1]) if accuracy else None,
            "test_loss": float(2 - curve[-1])}
    return Run(arrays=arrays, meta=meta)


def recording(coding="spikes", steps=50):
    """One trial of a 6-5-4-3 network, made up, in the form of `measures.Recording`."""
    rng = np.random.default_rng(1)
    sizes = [6, 5, 4, 3]
    layers = ["input", "hidden_1", "hidden_2"]
    spikes = {name: (rng.random((steps, n)) < 0.1).astype(int) for name, n in zip(layers, sizes)}
    spikes["hidden_2"][:, 2] = 1  # fires most
    values = {"error.err": rng.normal(size=(steps, 3)), "readout.o": rng.normal(size=(steps, 3)),
              "trial.gate": (np.arange(steps) >= 20)[:, None].astype(float)}
    for name, n in zip(layers, sizes):
        for variable in ("u", "psi", "g", "xbar"):
            values[f"{name}.{variable}"] = rng.random((steps, n))
    for k, (n, m) in enumerate(pairwise(sizes), 1):
        values[f"forward_{k}.w"] = np.cumsum(rng.normal(size=(steps, n * m)), axis=0)
    if coding == "current":
        del spikes["input"]
    return SimpleNamespace(time=np.arange(steps) * 1.0, spikes=spikes, values=values,
                           meta={"theta": 1.0, "sizes": sizes, "rule": "opzo", "dt_ms": 1.0,
                                 "target": [0.0, 1.0, 0.0]})


RUNS = [run(rule, seed) for rule in ("bp", "opzo", "dfa") for seed in range(5)]
CURVES = {"opzo": (TRIALS, {1: [0, 0.5, 0.7, 0.9], 2: [0, 0.6, 0.8, 1.0]}),
          "mine": (TRIALS, {1: [0, 0.1, 0.2, 0.1], 2: [-0.1, -0.2, 0, 0.1]})}
DRAWINGS = {
    "learning_curves": lambda ax: plots.learning_curves(RUNS, ax=ax),
    "final_accuracy": lambda ax: plots.final_accuracy(RUNS, ax=ax),
    "rates": lambda ax: plots.rates(RUNS[0], ax=ax),
    "alignment": lambda ax: plots.alignment(CURVES, ax=ax),
    "raster": lambda ax: plots.raster(recording(), ax=ax),
}


@pytest.fixture(autouse=True)
def closed():
    """No figure outlives its test, and none changes matplotlib's settings."""
    before = dict(matplotlib.rcParams)
    yield
    plt.close("all")
    changed = {k for k, v in matplotlib.rcParams.items() if before[k] != v}
    assert not changed


def line(ax, label):
    """The line of that label."""
    return next(x for x in ax.lines if x.get_label() == label)


def names(ax):
    """Every text written into the axes."""
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("name", DRAWINGS)
def test_draws_into_given_axes_or_its_own(name):
    fig, ax = plt.subplots()
    assert DRAWINGS[name](ax) is ax
    own = DRAWINGS[name](None)
    assert own.figure is not fig
    assert own.figure.get_figwidth() == pytest.approx(8.5 / 2.54)
    for axes in (ax, own):
        axes.figure.draw_without_rendering()
        assert not axes.spines["top"].get_visible() and not axes.spines["right"].get_visible()
        sizes = {label.get_size() for label in (axes.xaxis.label, *axes.get_xticklabels())}
        assert sizes <= {7, 8}


def test_learning_curve_is_the_mean_and_band_the_t_interval():
    ax = plots.learning_curves(RUNS, level=0.9)
    values = 100 * np.array([r.arrays["curve/accuracy"] for r in RUNS if r.meta["rule"] == "opzo"])
    drawn = line(ax, "OPZO")
    np.testing.assert_array_equal(drawn.get_xdata(), TRIALS)
    np.testing.assert_allclose(drawn.get_ydata(), values.mean(axis=0))
    low, high = stats.t.interval(0.9, 4, values.mean(axis=0), stats.sem(values, axis=0))
    band = ax.collections[1].get_paths()[0].vertices  # groups in the order they appear
    for x, a, b in zip(TRIALS, np.clip(low, 0, 100), np.clip(high, 0, 100)):
        ys = band[band[:, 0] == x, 1]
        assert ys.min() == pytest.approx(a) and ys.max() == pytest.approx(b)
    assert {"OPZO", "BP", "DFA", "chance"} <= set(names(ax))
    np.testing.assert_allclose(line(ax, "chance").get_ydata(), 100 / 3)
    assert ax.get_ylabel() == "Held-out accuracy (%)"


def test_early_learning_is_drawn_on_a_logarithmic_axis():
    ax = plots.learning_curves(RUNS, early=True)
    assert ax.get_xscale() == "log" and ax.get_xlim() == (TRIALS[1], TRIALS[-1])
    np.testing.assert_array_equal(line(ax, "OPZO").get_xdata(), TRIALS[1:])
    np.testing.assert_array_equal(line(ax, "chance").get_xdata(), [TRIALS[1], TRIALS[-1]])


def test_one_seed_has_no_band_and_regression_shows_the_loss():
    one = plots.learning_curves([run(accuracy=False)])
    assert len(one.collections) == 0
    np.testing.assert_allclose(line(one, "OPZO").get_ydata(), run().arrays["curve/loss"])
    assert one.get_ylabel() == "Held-out loss" and "chance" not in names(one)


@pytest.mark.parametrize("task, says", [("nmnist_simulated", "simulated data"), ("nmnist", ""),
                                        ("nmnist_transfer", "trained on simulated data")])
def test_simulated_data_are_called_so(task, says):
    runs = [run(seed=seed, task=task) for seed in range(5)]
    for draw in (plots.learning_curves, plots.final_accuracy):
        title = draw(runs).get_title(loc="left")
        assert "5 seeds" in title and title.endswith(says and f"; {says}")
        assert draw(runs[:1]).get_title(loc="left") == says
    plt.close("all")


def test_labels_of_one_rule_are_told_apart():
    ax = plots.learning_curves({"lms": [run(seed=0)], "momentum": [run(seed=1)]})
    assert {"lms", "momentum"} <= set(names(ax))
    assert line(ax, "lms").get_color() != line(ax, "momentum").get_color()


def test_a_rule_looks_the_same_everywhere():
    assert len({color for color, _, _ in plots.RULE_STYLE.values()}) == len(plots.RULE_STYLE)
    assert len({marker for _, marker, _ in plots.RULE_STYLE.values()}) == len(plots.RULE_STYLE)
    color, marker, _ = plots.RULE_STYLE["opzo"]
    alone = line(plots.learning_curves([run()]), "OPZO")
    among = line(plots.learning_curves(RUNS), "OPZO")
    aligned = plots.alignment({"x": CURVES["mine"], "opzo": CURVES["opzo"]}).lines[3]
    for drawn in (alone, among, aligned):
        assert (drawn.get_color(), drawn.get_marker()) == (color, marker)
    assert plots.final_accuracy([run()]).lines[0].get_color() == color


def test_a_variant_is_named_after_its_rule_and_looks_like_nothing_else():
    labels = ["opzo", "opzo, alpha falls, tau_a 2 ms", "opzo, momentum", "node_perturbation, ZO",
              *(f"dfa, {k}" for k in range(9)), *(f"own {k}" for k in range(12))]
    looks = [plots.style(label, labels) for label in labels]
    assert [name for _, _, name in looks[:4]] == [
        "OPZO", "OPZO, \u03b1 falls, \u03c4$_\\mathrm{a}$ 2 ms", "OPZO, momentum", "Node pert., ZO"]
    assert len({color for color, _, _ in looks}) == len(labels)
    assert looks[0][:2] == plots.RULE_STYLE["opzo"][:2]
    assert looks[3][0].upper() == plots.RULE_STYLE["node_perturbation"][0]  # it is alone


def shown_in_part(seed, task="digits_simulated"):
    """A run whose points before the end are of fewer trials than the last."""
    found = run(seed=seed, task=task)
    return Run(arrays={**found.arrays, "curve/held_out": np.array([250, 250, 250, 360])},
               meta=found.meta)


@pytest.mark.parametrize("draw", [*DRAWINGS.values(), lambda _: plots.learning_curves(
    {"opzo": [shown_in_part(seed) for seed in range(3)]})])
def test_no_word_of_a_figure_is_cut_off(draw):
    """What the note says above the axes was wider than a column."""
    fig = draw(None).figure
    fig.draw_without_rendering()
    words = [text for ax in fig.axes for text in (
        *ax.texts, ax.xaxis.label, ax.yaxis.label, *(
            found for found in ax.get_children() if isinstance(found, Text)))
        if text.get_text().strip() and text.get_visible()]
    for text in words:
        box = text.get_window_extent()
        assert fig.bbox.x0 <= box.x0 and box.x1 <= fig.bbox.x1, text
        assert fig.bbox.y0 <= box.y0 and box.y1 <= fig.bbox.y1, text
    assert words


@pytest.mark.parametrize("count", [2, 4, 5])
def test_few_seeds_are_drawn_and_not_an_interval(count):
    runs = [run(seed=seed) for seed in range(count)]
    ax = plots.learning_curves(runs)
    thin = [x for x in ax.lines if x.get_label() == "_seed"]
    assert len(thin) == (count if count < 5 else 0) and len(ax.collections) == (count == 5)
    for found, own in zip(thin, runs):
        np.testing.assert_allclose(found.get_ydata(), 100 * own.arrays["curve/accuracy"])
    assert f"{count} seeds" in ax.get_title(loc="left")
    ends = plots.final_accuracy(runs)
    assert ("_interval" in [x.get_label() for x in ends.lines]) is (count == 5)


def test_bands_and_bars_stay_on_the_scale():
    wild = np.array([[1.0, 99], [99, 1], [1, 99], [99, 1], [50, 50]])
    _, ax = plt.subplots()
    plots.band(ax, [0, 1], wild, "opzo", within=(0, 100), level=0.999)
    plots.dots(ax, wild[:, 0], 0, "k", within=(0, 100), level=0.999)
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    bar = next(x for x in ax.lines if x.get_label() == "_interval").get_xdata()
    assert band.min() == 0 and band.max() == 100 and list(bar) == [0, 100]


def test_equal_seeds_are_moved_apart():
    moved = plots.jitter([3.0, 1, 3, 3, 1])
    assert len(set(moved.round(6))) == 5 and abs(moved).max() <= 0.13
    np.testing.assert_array_equal(moved, plots.jitter([3.0, 1, 3, 3, 1]))
    assert plots.jitter([2.0]).tolist() == [0]


def test_hidden_layers_keep_their_fill():
    first, second = (plots.layer_marks(layer, "red") for layer in (1, 2))
    assert first["mfc"] == "white" and "mfc" not in second
    assert second["fillstyle"] == "full"
    drawn = plots.rates(run()).lines
    assert drawn[0].get_markerfacecolor() == "white"
    assert drawn[1].get_markerfacecolor() == drawn[1].get_color()


def test_many_curves_become_panels_and_points():
    names = ["opzo", "bp", "dfa", "dkp", "eprop", "reinforce", "node_perturbation", "readout_only"]
    assert plots.panels(names) == [names[:5], names[5:]] and plots.panels(names[:4]) == [names[:4]]
    assert plots.panels([f"opzo, {k}" for k in range(7)]) == []
    fig = plots.dynamics({rule: [run(rule, seed) for seed in range(5)] for rule in names})
    curves = [{x.get_label() for x in ax.lines} - {"chance"} for ax in fig.axes[:2]]
    assert [len(found) for found in curves] == [5, 4] and "OPZO" in curves[1]
    assert len(fig.axes[2].get_yticklabels()) == 8
    near = fig.axes[3]
    own, theirs = ([100 * run(rule, seed).test_accuracy for seed in range(5)]
                   for rule in (names[1], "opzo"))
    wanted = abs(np.mean(own) - np.mean(theirs)) <= 5
    assert ("BP" in [x.get_text() for x in near.get_yticklabels()]) is bool(wanted)
    with pytest.raises(InputError, match="no runs"):
        plots.dynamics({})


def test_differences_are_paired_by_seeds():
    found = {"opzo": [run("opzo", seed) for seed in range(5)]}
    found["bp"] = [run("opzo", seed) for seed in reversed(range(5))]
    for own in found["bp"]:
        own.meta["test_accuracy"] += 0.01
    ax = plots.dynamics(found).axes[-1]
    points, = [x for x in ax.lines if x.get_marker() == plots.RULE_STYLE["bp"][1]]
    np.testing.assert_allclose(points.get_xdata(), 1)


def test_every_rule_of_the_package_has_a_style():
    from bioopzo import rules

    assert set(rules.available()) <= set(plots.RULE_STYLE)


def test_final_accuracy_is_sorted_with_a_point_a_seed():
    ax = plots.final_accuracy(RUNS)
    means = {rule: 100 * np.mean([r.test_accuracy for r in RUNS if r.meta["rule"] == rule])
             for rule in ("bp", "opzo", "dfa")}
    best_last = [plots.RULE_STYLE[rule][2] for rule in sorted(means, key=means.get)]
    assert [label.get_text() for label in ax.get_yticklabels()] == best_last
    points = [x for x in ax.lines if x.get_label() == "seeds"]
    assert [len(x.get_xdata()) for x in points] == [5, 5, 5]
    np.testing.assert_allclose(sorted(np.mean(x.get_xdata()) for x in points),
                               sorted(means.values()))


@pytest.mark.parametrize("count", [2, 5, 9])
def test_names_at_line_ends_do_not_overlap(count):
    runs = {f"rule {k}": [run(seed=3)] for k in range(count)}  # all end at the same point
    ax = plots.learning_curves(runs)
    ax.figure.draw_without_rendering()
    # The extent of the words alone: an annotation's own includes its leader line.
    boxes = sorted((Text.get_window_extent(text) for text in ax.texts), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))
    width, height = ax.figure.canvas.get_width_height()
    assert all(0 <= b.x0 and b.x1 <= width + 1 and 0 <= b.y0 and b.y1 <= height for b in boxes)


def test_names_keep_their_place_where_there_is_room():
    np.testing.assert_allclose(_apart(np.array([0.1, 0.5, 0.9]), 0.1), [0.1, 0.5, 0.9])
    np.testing.assert_allclose(_apart(np.array([0.5, 0.5]), 0.1), [0.45, 0.55])
    np.testing.assert_allclose(_apart(np.array([1.0, 1.0]), 0.1), [0.9, 1.0])


def test_rates_draws_every_layer():
    ax = plots.rates(run())
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), run().arrays["rates/hidden_1"])
    assert names(ax) == ["hidden 2", "hidden 1"] and ax.get_ylabel() == "Firing rate (Hz)"


def test_alignment_dashes_tell_layers_apart():
    ax = plots.alignment(CURVES)
    drawn = [x for x in ax.lines if len(x.get_xdata()) == len(TRIALS)]
    assert len({x.get_linestyle() for x in drawn}) == 2 and len(drawn) == 4
    assert ax.get_ylim() == (-1, 1)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["layer 1", "layer 2"]


def test_raster_has_a_mark_a_spike():
    data = recording()
    ax = plots.raster(data)
    marks = [c for c in ax.collections if hasattr(c, "get_segments")]
    assert [len(c.get_segments()) for c in marks] == [int(s.sum()) for s in data.spikes.values()]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["input", "hidden 1", "hidden 2"]


@pytest.mark.parametrize("coding", ["spikes", "current"])
def test_anatomy_shows_one_synapse(coding):
    data = recording(coding)
    fig = plots.anatomy(data)
    axes = fig.axes
    assert len(axes) == 7
    np.testing.assert_array_equal(axes[1].lines[1].get_ydata(), data.values["hidden_2.u"][:, 2])
    np.testing.assert_array_equal(axes[1].lines[0].get_ydata(), [1, 1])
    change = data.values["forward_2.w"].reshape(50, 5, 4)[:, :, 2]
    change = change - change[0]
    pre = np.abs(change).max(axis=0).argmax()
    np.testing.assert_array_equal(axes[2].lines[0].get_ydata(),
                                  data.values["hidden_1.xbar"][:, pre])
    np.testing.assert_allclose(axes[6].lines[-1].get_ydata(), 1e3 * change[:, pre])
    assert axes[6].get_xlabel() == "Time in the trial (ms)"
    assert not any("(1)" in ax.get_ylabel() for ax in axes)
    assert all(ax.get_xlim() == (0, 50) for ax in axes)
    assert to_hex(axes[5].lines[-1].get_color()).upper() == plots.RULE_STYLE["opzo"][0]


def test_anatomy_of_a_chosen_neuron_in_a_given_figure():
    data, fig = recording(), plt.figure()
    assert plots.anatomy(data, neuron=(1, 3), fig=fig) is fig
    np.testing.assert_array_equal(fig.axes[3].lines[0].get_ydata(),
                                  data.values["hidden_1.psi"][:, 3])
    for wrong in (4, (0, 1), (3, 0), (1, -1)):
        with pytest.raises(InputError, match=r"hidden_1 \(5\), hidden_2 \(4\)"):
            plots.anatomy(data, neuron=wrong)


def test_overview_compares_weights_of_start_and_end():
    fig = run().plot()
    assert fig.get_figwidth() == pytest.approx(17.4 / 2.54)
    titles = [ax.get_title(loc="left") for ax in fig.axes]
    assert titles[-3:] == ["Into hidden 1", "Into hidden 2", "Into readout"]
    assert sum(patch.get_height() for patch in fig.axes[2].patches[:30]) == 30


def test_save_writes_whole_files(tmp_path):
    fig, ax = plots.figure()
    plots.learning_curves([run()], ax)
    paths = plots.save(fig, tmp_path / "out" / "curves")
    assert [p.name for p in paths] == ["curves.png", "curves.pdf"]
    assert paths[0].read_bytes().startswith(b"\x89PNG") and paths[1].read_bytes()[:4] == b"%PDF"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["curves.pdf", "curves.png"]


def test_shows_nothing(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *a, **k: pytest.fail("plt.show was called"))
    for draw in DRAWINGS.values():
        draw(None)
    plots.anatomy(recording())
    plots.overview(run())


@pytest.mark.parametrize("draw", [plots.learning_curves, plots.final_accuracy])
def test_what_cannot_be_drawn_is_an_input_error(draw):
    with pytest.raises(InputError, match="no runs"):
        draw([])
    with pytest.raises(InputError, match="no runs to draw for 'opzo'"):
        draw({"opzo": []})
    with pytest.raises(InputError, match="digits, xor"):
        draw([run(), run(task="xor")])


def test_further_input_errors():
    with pytest.raises(InputError, match="seed 1 was read after other numbers"):
        plots.learning_curves([run(), run(seed=1, trials=TRIALS[:2])])
    with pytest.raises(InputError, match="firing rates"):
        plots.rates(Run(arrays={"curve/trials": TRIALS}))
    with pytest.raises(InputError, match="at least one curve"):
        plots.alignment({})
    with pytest.raises(InputError, match="opzo, layer 1: 2 cosines for 4"):
        plots.alignment({"opzo": (TRIALS, {1: [0, 1]})})
    with pytest.raises(InputError, match="no spikes"):
        plots.raster(SimpleNamespace(spikes={}))


def test_a_backend_that_turns_interactive_mode_on_is_left_to_it():
    """In a notebook the first figure does, and without it no later figure would be shown."""
    before = plt.isinteractive()
    try:
        plots.styled(plt.ion)()
        assert plt.isinteractive()
    finally:
        plt.interactive(before)


def test_large_errors_have_more_than_one_number_on_their_axis():
    """From 40 to 90 % there is no power of ten."""
    fine = run("opzo", 0)
    fine.arrays["curve/accuracy"] = np.linspace(0.1, 0.6, len(fine.arrays["curve/trials"]))
    ax = plots.learning_curves({"opzo": [fine]}, error=True)
    ax.figure.canvas.draw()
    low, high = ax.get_ylim()
    said = {label.get_text() for label in ax.get_yticklabels(which="both")}
    assert {"40", "60", "100"} <= said and 10 < low < 40 < high == 100


def test_the_note_says_of_each_group_what_its_band_is():
    """It described that with the fewest seeds alone: a band was drawn and not explained."""
    def runs(count):
        return [Run({"curve/trials": np.array([0, 10]), "curve/loss": np.array([1.0, 0.5]),
                        "curve/accuracy": np.array([0.5, 0.6 + 0.01 * k])},
                       meta={"task": "xor", "sizes": [2, 3, 2], "seed": k, "rule": "bp"})
                for k in range(count)]

    def told(**groups):
        return plots.learning_curves({k: runs(n) for k, n in groups.items()}).get_title("left")

    assert told(opzo=6, bp=6) == "mean, 95 % interval, 6 seeds"
    assert told(opzo=6, bp=1) == "opzo: mean, 95 % interval, 6 seeds; bp: one seed"
    assert told(opzo=6, bp=2).endswith("bp: thin lines: 2 seeds; thick: mean")
    plt.close("all")


def test_an_error_of_0_stays_within_the_axes():
    """It went off a logarithmic axis, through the words below it."""
    curves = {"a": [0.5, 0.9, 1.0], "b": [0.5, 0.9, 0.95]}
    ax = plots.learning_curves({label: [Run(
        {"curve/trials": np.array([0, 10, 20]), "curve/accuracy": np.array(values)},
        meta={"task": "xor", "sizes": [2, 3, 2], "seed": 0, "rule": "bp"})]
        for label, values in curves.items()}, error=True)
    assert ax.lines[0].get_ydata()[-1] == pytest.approx(5.0)  # half of 10
    assert "no error is drawn as half of the least one" in ax.get_title("left")
    low = min(line.get_ydata().min() for line in ax.lines)
    assert ax.get_ylim()[0] <= low
    plt.close("all")


def test_bins_of_intervals_are_steps_though_no_two_intervals_are_a_step_apart():
    ax = plots.interval_histogram([np.array([5.0, 5, 7, 7, 7])])
    assert [p.get_height() for p in ax.patches if p.get_height()] == [2, 3]
    thirds = plots.interval_histogram([np.array([3.0, 4, 5, 7, 30]) / 3])  # of no whole microsecond
    assert len(thirds.patches) == 30
    plt.close("all")
