"""Trials of a user's own, in whatever form they come: labels, spike times, events, films."""

import neo
import numpy as np
import pytest
import quantities
from brian2 import Hz, ms, second, usecond

import bioopzo as bz
from bioopzo.errors import InputError, ModelWarning

X = np.random.default_rng(0).random((6, 4))
SPIKES = [([.0012, .0031], [0, 2]), ([.0012, .0015, .0049], [1, 1, 0])]


class Table:
    """What a DataFrame is to NumPy: an array, and names of columns."""

    def __init__(self, columns):
        self.columns, self._values = list(columns), list(columns.values())

    def __array__(self, dtype=None, copy=None):
        return np.array(list(zip(*self._values)), dtype or object)


# ---------------------------------------------------------------------------- labels

@pytest.mark.parametrize("targets, labels, classes, said", [
    (["dog", "cat", "cat", "dog", "emu", "cat"], [1, 0, 0, 1, 2, 0], 3, "0 is cat, 1 is dog"),
    ([True, False, True, True, False, False], [1, 0, 1, 1, 0, 0], 2, "0 is False, 1 is True"),
    ([-1, 1, 1, -1, 1, 1], [0, 1, 1, 0, 1, 1], 2, "0 is -1, 1 is 1"),
    ([1., 2, 3, 1, 2, 3], [0, 1, 2, 0, 1, 2], 3, "0 is 1, 1 is 2, 2 is 3"),
    ([0., 2, 3, 0, 2, 3], [0, 2, 3, 0, 2, 3], 4, ""),
    (np.eye(3)[[0, 2, 2, 1, 1, 0]], [0, 2, 2, 1, 1, 0], 3, ""),
    ([["b"], ["a"], ["a"], ["b"], ["a"], ["a"]], [1, 0, 0, 1, 0, 0], 2, "0 is a, 1 is b"),
    (Table({"kind": ["b", "a", "a", "b", "a", "b"]}), [1, 0, 0, 1, 0, 1], 2, "0 is a, 1 is b")])
def test_labels_of_any_kind_are_classes(targets, labels, classes, said):
    task = bz.tasks.from_arrays(X, targets, description="Mine.")
    assert task.labels.tolist() == labels and task.classes == classes
    np.testing.assert_array_equal(task.targets, np.eye(classes)[labels])
    assert said in task.description and task.description.startswith("Mine.")


@pytest.mark.parametrize("names, targets, says", [
    ("ab", [0, 1]*3, "2 different names, one for each class, not 'ab'"),
    (["a", "a"], [0, 1]*3, "2 different names"), (["a"], [0, 1]*3, "2 different names"),
    (5, [0, 1]*3, "2 different names"), (["a"], X[:, :1], "there are no labels")])
def test_names_of_classes_are_checked(names, targets, says):
    with pytest.raises(InputError, match=says):
        bz.tasks.from_arrays(X, targets, class_names=names)


def test_names_of_classes_go_with_the_labels():
    task = bz.tasks.from_arrays(X, [0, 1]*3, class_names=["left", "right"])
    assert task.class_names == ("left", "right") and "1 is right" in task.description
    assert task.replace(labels=None).class_names is None
    assert bz.tasks.relabelled(task, [1, 0]).class_names == task.class_names
    assert task.digest == task.replace(class_names=None).digest  # a run depends on no names


def test_numbers_to_follow_stay_numbers():
    for targets in (X[:, :1], X[:, :2], np.ones((6, 2)), np.zeros((6, 60, 2))):
        assert bz.tasks.from_arrays(X, targets).labels is None
    assert bz.tasks.from_arrays(X, [1, 2, 3, 1, 2, 3], classes=5).labels.tolist() == [1, 2, 3]*2
    fewer = bz.tasks.from_arrays(X, ["a", "b"]*3, classes=3)
    assert fewer.class_names == ("a", "b", "class 2") and fewer.n_out == 3
    table = Table({"a": [1, 2., 3], "b": [0., 0, 1]})
    assert bz.tasks.from_arrays(table, [0, 1, 0]).inputs.tolist() == [[1, 0], [2, 0], [3, 1]]


@pytest.mark.parametrize("inputs, targets, says", [
    (X, [.5, 1, 2, 1, 0, 0], r"0.5 is none.*\(6, 1\)"),
    (X, ["a"]*6, "all 6 labels are a: there is nothing to tell apart"),
    (X, ["a", "b", None, "a", "b", "a"], r"sample 2 is missing \(None\)"),
    (X, ["a", "b", 3, None, "b", "a"], "sample 3 is missing"),
    (X, np.array(["a", 3, "b", 2, "a", 1], object), "texts or numbers, not both"),
    (X, [[1, 2], [1]], "one label a sample, or a rectangular array"),
    (X, np.array([["a", "b"]]*6), r"not <U1 of shape \(6, 2\)"),
    ([["1", "x"], ["2", "y"]], [0, 1], r"inputs must be numbers, and inputs\[0, 0\] holds '1'"),
    ([[1], [1, 2]], [0, 1], "padded, and have masks"),
    (np.array([[1, {}], [2, 3]], object), [0, 1], "inputs must be numbers: .*dict"),
    (Table({"length": [1., 2], "sex": ["f", "m"]}), [0, 1], "column 'sex' holds 'f'")])
def test_labels_and_inputs_that_mean_nothing_are_refused(inputs, targets, says):
    with pytest.raises(InputError, match=says):
        bz.tasks.from_arrays(inputs, targets)


def test_pixels_of_one_byte_are_warned_of():
    pixels = np.array([[0, 255], [3, 4]], np.uint8)
    with pytest.warns(ModelWarning, match="0 to 255, as pixels do.*show inputs/255"):
        bz.tasks.from_arrays(pixels, [0, 1])


# ---------------------------------------------------------------------------- spike times

def block():
    found = neo.Block()
    for times, neurons in SPIKES:
        segment = neo.Segment()
        for k in range(3):
            mine = [2000 + 1000*t for t, n in zip(times, neurons) if n == k]
            segment.spiketrains.append(neo.SpikeTrain(
                mine*quantities.ms, t_start=2000*quantities.ms, t_stop=2010*quantities.ms))
        found.segments.append(segment)
    return found


@pytest.mark.parametrize("trials, more", [
    (SPIKES, {"unit": second}),
    ([(np.array(t)*second, np.array(n)) for t, n in SPIKES], {}),
    ([[[1.2], [], [3.1]], [[4.9], [1.2, 1.5], []]], {"unit": ms}),
    ([[[1.2]*ms, []*ms, [3.1]*ms], [[4.9]*ms, [1.2*ms, 1.5*ms], []]], {}),
    ([{0: [1200], 2: [3100]}, {1: [1200, 1500], 0: [4900]}], {"unit": usecond}),
    (block(), {})], ids=["pairs", "quantities", "lists", "lists with units", "mappings", "neo"])
def test_spike_times_of_any_form_make_the_same_trials(trials, more):
    with pytest.warns(ModelWarning, match="1 of 5 spikes fall into the same step"):
        task = bz.tasks.from_spikes(trials, ["l", "r"], validation=0, test=0, **more)
    expected = np.zeros((2, 5, 3))
    expected[[0, 0, 1, 1], [1, 3, 1, 4], [0, 2, 1, 0]] = 1
    np.testing.assert_array_equal(task.inputs[:], expected)
    assert (task.coding, task.duration, task.labels.tolist()) == ("spikes", 5*ms, [0, 1])


def test_a_spike_on_the_border_of_two_steps_is_in_the_second():
    times = np.arange(30)*.0001
    task = bz.tasks.from_spikes([(times, np.zeros(30, int))]*2, [0, 1], dt=.1*ms, unit=second)
    assert task.steps == 30 and task.inputs[:].all()


def test_holds_of_a_perturbation_fit_trials_of_any_length():
    """T_z of 20 ms has no room for a pair in 20 ms; what has is recorded, and T_z given stays."""
    task = bz.tasks.from_spikes(SPIKES * 6, [0, 1] * 6, duration=20*ms, unit=second)
    model = bz.Model([3, 4, 2])
    run = bz.train(model, task, trials=2, evaluations=1, backend="numpy", progress=False)
    assert run.meta["holds"] == "T_z=8 ms, T_w=6 ms"
    assert run.model.parameters["T_z"] == 8*ms and run.meta["parameters"]["T_w"] == "6. ms"
    longer = bz.tasks.from_spikes(SPIKES * 6, [0, 1] * 6, duration=60*ms, unit=second)
    assert model.for_task(longer).parameters["T_z"] == 20*ms
    with pytest.raises(InputError, match="T_z=20 ms: two holds do not fit.*T_z <= 8 ms"):
        bz.train(model.edit(T_z=20*ms), task, trials=2, backend="numpy")


def test_spikes_that_are_left_out_or_missing_are_said():
    times = [([1., 2, 30], [0, 1, 1]), ([40.], [0])]
    with pytest.warns(ModelWarning) as told:
        task = bz.tasks.from_spikes(times, [0, 1], duration=10*ms, unit=ms, n_in=5)
    words = [str(one.message) for one in told]
    assert "2 of 4 spikes lie outside 0 to 10. ms" in words[0] and "to 0.04 s" in words[0]
    assert words[1] == "own: trial 1 is silent" and task.n_in == 5
    assert all(one.filename == __file__ for one in told)


@pytest.mark.parametrize("trials, more, says", [
    (SPIKES, {}, r"trial 0: times are plain numbers, from 0.0012 to 0.0031: say which unit"),
    ([([3000., 9000], [0, 0])], {"unit": second, "duration": 1*second},
     r"all trials are silent.*from 3000 s to 9000 s\. Are they in another unit"),
    ([[[], []]], {}, "no trial has a spike"), ([], {}, "there are no trials"),
    (SPIKES, {"unit": second, "n_in": 2}, "n_in=2 neurons.*there is a neuron 2"),
    ([([1, 2], [0])], {"unit": ms}, "trial 0 has 2 times, and 1 neurons"),
    ([([1], [-1])], {"unit": ms}, "neurons are whole numbers from 0"),
    ([[["a"]]], {"unit": ms}, "trial 0, neuron 0: times must be numbers"),
    ([[[np.nan]]], {"unit": ms}, "times must be finite"),
    ([[[1, np.nan]*ms]], {}, "times must be finite"),
    ([[[1*ms, np.inf*ms]]], {}, "times must be finite"), (["ab"], {}, "not 'ab'"),
    ([[[1]*Hz]], {}, "times are times"), ([(1, 2, 3)], {}, "a tuple of 3"),
    (SPIKES, {"unit": Hz}, "unit must be a time")])
def test_spike_times_that_mean_nothing_are_refused(trials, more, says):
    with pytest.raises(InputError, match=says):
        bz.tasks.from_spikes(trials, [0]*len(trials), **more)


def test_a_network_learns_from_spike_times():
    """Neuron 0 or neuron 1 fires every other millisecond."""
    labels = np.arange(60) % 2
    task = bz.tasks.from_spikes([{int(k): np.arange(1, 30, 2)*ms} for k in labels], labels, n_in=2)
    found = bz.train(bz.Model([2, 2], rule="readout_only", eta_o=20*Hz), task, trials=40,
                     evaluations=1, backend="numpy", progress=False)
    assert found.test_accuracy == 1


# ---------------------------------------------------------------------------- events, films

EVENTS = {"x": [0, 3, 1], "y": [1, 0, 0], "t": [500, 1500, 2999], "p": [1, 0, 1]}


def structured(events=EVENTS):
    found = np.zeros(3, [(key, np.int64) for key in events])
    for key, values in events.items():
        found[key] = values
    return found


class DataSet(list):
    sensor_size = (4, 2, 2)


@pytest.mark.parametrize("recordings, more", [
    ([structured(), structured()], {"labels": [0, 1], "sensor": (4, 2, 2)}),
    ([EVENTS, tuple(EVENTS.values())], {"labels": ["a", "b"], "sensor": (4, 2, 2)}),
    (DataSet([(structured(), 0), (structured(), 1)]), {}),
    ([{**EVENTS, "t": np.array([10.5, 11.5, 12.999])*ms}]*2,
     {"labels": [0, 1], "sensor": (4, 2, 2), "align": True})])
def test_recordings_of_any_form_make_the_same_trials(recordings, more):
    task = bz.tasks.from_events(recordings, validation=0, test=0, **more)
    expected = np.zeros((task.steps, 2, 2, 4))
    steps = [0, 1, 2]
    expected[steps, EVENTS["p"], EVENTS["y"], EVENTS["x"]] = 1
    assert task.steps == 3 and task.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(task.inputs[0], expected.reshape(3, -1))
    assert ("microseconds" in task.description) is ("align" not in more)


def test_recordings_are_pooled_and_of_one_row():
    task = bz.tasks.from_events([EVENTS]*2, [0, 1], (4, 2, 2), size=2, polarities="merged")
    assert task.inputs.grid == (2, 2, 1)
    sounds = {"x": np.array([0, 1]), "t": np.array([.001, .002]), "p": np.array([1, 1])}
    task = bz.tasks.from_events([sounds]*2, [0, 1], (2, 1, 1), unit=second)
    assert task.n_in == 2 and task.inputs[0].tolist() == [[0, 0], [1, 0], [0, 1]]


@pytest.mark.parametrize("recordings, more, says", [
    ([EVENTS], {"sensor": (4, 2, 2)}, "labels are missing"),
    ([EVENTS], {"labels": [0]}, r"sensor is \(width, height, polarities\).*not None"),
    ([EVENTS], {"labels": [0], "sensor": (4, 0, 2)}, "all at least 1"),
    ([EVENTS], {"labels": [0], "sensor": (3, 2, 2)}, "recording 0: x goes from 0 to 3.*0 to 2"),
    ([{"x": [1], "t": [1]}], {"labels": [0], "sensor": (4, 2, 2)}, "has no y and no p"),
    ([{**EVENTS, "t": [.1, .2, .3]}], {"labels": [0], "sensor": (4, 2, 2)}, "say which unit"),
    ([{**EVENTS, "p": [1]}], {"labels": [0], "sensor": (4, 2, 2)}, "3 x, 3 y, 1 p, 3 t"),
    ([{**EVENTS, "t": [10**6]*3}], {"labels": [0], "sensor": (4, 2, 2), "duration": 50*ms},
     "all trials are silent.*1 s to 1 s"), ([], {"labels": []}, "there are no recordings")])
def test_recordings_that_mean_nothing_are_refused(recordings, more, says):
    with pytest.raises(InputError, match=says):
        bz.tasks.from_events(recordings, **more)


def test_films_are_shown_frame_by_frame():
    film = np.arange(2*3*2*2, dtype=np.uint8).reshape(2, 3, 2, 2)
    task = bz.tasks.from_frames(film, [0, 1], frame=4*ms, dt=2*ms)
    assert task.inputs.shape == (2, 6, 4) and task.duration == 12*ms
    np.testing.assert_allclose(task.inputs[1, 2:4], np.tile(film[1, 1].ravel()/255, (2, 1)))
    assert "divided by 255" in task.description
    with pytest.raises(InputError, match=r"\(samples, frames, height, width\)"):
        bz.tasks.from_frames(film[0, 0], [0, 1])
    with pytest.raises(InputError, match="dt must divide"):
        bz.tasks.from_frames(film, [0, 1], frame=5*ms, dt=2*ms)


def test_an_event_at_the_border_of_a_step_belongs_to_it():
    """7000 us became 6999.999... by way of seconds: one event in 38 came a step early."""
    t = np.arange(1, 1000) * 1000
    zeros = np.zeros_like(t)
    for times, unit in ((t, None), (t / 1e3, ms), (t / 1e6, second), (t.astype(float), usecond)):
        task = bz.tasks.from_events([(zeros, zeros, times, zeros)] * 4, [0, 1, 0, 1], (2, 2, 2),
                                    duration=1 * second, dt=1 * ms, unit=unit)
        assert np.flatnonzero(task.inputs[0].any(axis=1)).tolist() == list(range(1, 1000))


def test_events_before_0_are_not_left_out_in_silence():
    t = np.array([-5000, -2000, 3000])
    zeros = np.zeros_like(t)
    with pytest.warns(ModelWarning, match="8 of 12 events lie before 0 .* align=True"):
        bz.tasks.from_events([(zeros, zeros, t, zeros)] * 4, [0, 1, 0, 1], (2, 2, 2))


@pytest.mark.parametrize("ask, says", [
    (lambda X, y: bz.tasks.from_arrays(X, y, labels=y), "labels are given as targets"),
    (lambda X, y: bz.tasks.from_spikes([[[1.0], [2.0]]] * 20, y, unit=ms, coding="poisson"),
     "coding is 'spikes'"),
    (lambda X, y: bz.tasks.from_arrays(X, [0, 20230101] * 10), "labels go up to 20230101"),
    (lambda X, y: bz.tasks.in_turn(bz.tasks.from_arrays(X, ["cat", "dog"] * 10),
                                   bz.tasks.from_arrays(X, ["dog", "fox"] * 10)),
     "'dog', 'fox'.* a readout has one name")])
def test_what_was_a_traceback_or_another_name_is_a_sentence(ask, says):
    with pytest.raises(InputError, match=says):
        ask(np.random.default_rng(0).random((20, 3)), [0, 1] * 10)


def test_actions_may_be_more_or_fewer_than_named_classes():
    """It ended in words about class_names, which with_reward does not take."""
    task = bz.tasks.from_arrays(np.random.default_rng(0).random((20, 3)), ["cat", "dog"] * 10)
    assert bz.tasks.with_reward(task).class_names == ("cat", "dog")
    assert bz.tasks.with_reward(task, actions=3).class_names is None
