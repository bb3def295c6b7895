"""What is read off recorded trials and outcomes has known answers, and is drawn."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from bioopzo import measures, plots
from bioopzo.errors import InputError
from bioopzo.measures.trials import Outcomes


@pytest.fixture
def outcomes():
    labels, choice = np.array([0, 0, 1, 1, 1, 2]), np.array([0, 1, 1, 1, 2, 2])
    return Outcomes(np.arange(6), np.eye(3)[choice], np.ones(6), labels, choice, np.zeros(6))


@pytest.fixture
def spikes():
    """Two trials of 20 steps: a clock of 5 steps, a neuron that fires in the second only, none."""
    found = np.zeros((2, 20, 3))
    found[:, ::5, 0] = 1
    found[1, [3, 4, 12], 1] = 1
    return found


def test_outcomes_have_known_answers(outcomes):
    assert measures.confusion(outcomes).tolist() == [[1, 1, 0], [0, 2, 1], [0, 0, 1]]
    assert outcomes.accuracy == pytest.approx(4 / 6)
    strength, share, trials = measures.psychometric(outcomes, [-1, -1, 0, 0, 1, 1], choice=2)
    assert strength.tolist() == [-1, 0, 1] and share.tolist() == [0, 0, 1]
    assert trials.tolist() == [2, 2, 2]
    binned = measures.psychometric(outcomes, np.arange(6), choice=2, bins=2)
    assert binned[0].tolist() == [1, 4] and binned[1].tolist() == [0, pytest.approx(2 / 3)]
    target = np.arange(4.0)
    assert measures.explained(target, target) == 1
    assert measures.explained(np.full(4, target.mean()), target) == 0
    with pytest.raises(InputError, match="give no reward"):
        outcomes.reward  # noqa: B018
    with pytest.raises(InputError, match="each of the 6 trials"):
        measures.psychometric(outcomes, [1, 2])


def test_recorded_spikes_have_known_answers(spikes):
    times, rates = measures.rates_over_time(spikes, 10)
    assert times.tolist() == [5, 15] and rates[:, 0].tolist() == [200, 200]
    assert rates[:, 1].tolist() == [100, 50] and not rates[:, 2].any()
    stimuli, means, errors = measures.tuning(spikes, [7, 3])
    assert stimuli.tolist() == [3, 7] and means[:, 1].tolist() == [150, 0]
    assert np.isnan(errors).all()
    first, second, third = measures.intervals(spikes, dt_ms=2.0)
    assert first.tolist() == [10] * 6 and second.tolist() == [2, 16] and not len(third)
    cv = measures.interval_cv(spikes, least=2)
    assert cv[0] == 0 and cv[1] == pytest.approx(3.5 / 4.5) and np.isnan(cv[2])
    same = measures.similarity(spikes)
    assert same.shape == (2, 2) and same[0, 0] == pytest.approx(1) and same[0, 1] < 1
    for wrong, says in ((lambda: measures.intervals(spikes / 2), "chances"),
                        (lambda: measures.tuning(spikes, [1]), "each of the 2 trials"),
                        (lambda: measures.rates_over_time(spikes, 0.1), "width_ms"),
                        (lambda: measures.similarity(spikes[0]), "a recording")):
        with pytest.raises(InputError, match=says):
            wrong()


def test_every_figure_takes_axes_and_style(outcomes, spikes):
    before = dict(plt.rcParams)
    run = SimpleNamespace(arrays={"curve/trials": np.array([0, 5]), "snapshots/forward_1.w":
                                  np.random.default_rng(0).normal(size=(2, 12))})
    fig, axes = plt.subplots(2, 5)
    target = np.linspace(0, 1, 5)
    drawn = [
        plots.confusion(measures.confusion(outcomes), axes[0, 0], labels="abc", cmap="Blues"),
        plots.psychometric(([0, 1], [0.2, 0.9], [10, 10]), axes[0, 1], color="red"),
        plots.output_and_target(target, target, axes[0, 2], r2=1.0, color="red"),
        plots.output_and_target(target, target, axes[0, 3], dt_ms=2.0),
        plots.psth(measures.rates_over_time(spikes), axes[0, 4], color="red"),
        plots.psth(measures.rates_over_time(spikes), axes[1, 0], each=True),
        plots.tuning(measures.tuning(spikes, [1, 2]), axes[1, 1], neurons=[0, 1], lw=2),
        plots.interval_histogram(measures.intervals(spikes), axes[1, 2], [0, 0.5], color="red"),
        plots.trajectories(run, "forward_1.w", axes[1, 3], synapses=5, color="red"),
        plots.similarity(measures.similarity(spikes), axes[1, 4], labels=[1, 0])]
    assert drawn == list(axes.ravel())
    assert axes[0, 0].get_xticklabels()[1].get_text() == "b"
    assert {line.get_color() for line in axes[1, 3].lines} == {"red"}
    assert "CV 0.25" in axes[1, 2].get_title(loc="left")
    fig.canvas.draw()
    plt.close("all")
    for wrong in (lambda: plots.confusion([[1, 2]]), lambda: plots.similarity([1]),
                  lambda: plots.tuning(measures.tuning(spikes, [1, 2]), neurons=[3]),
                  lambda: plots.interval_histogram([[]]),
                  lambda: plots.trajectories(run, "forward_9.w")):
        with pytest.raises(InputError):
            wrong()
    assert dict(plt.rcParams) == before
