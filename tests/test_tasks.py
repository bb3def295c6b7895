"""Tasks: known answers, statistics with stated intervals (fixed seeds), and what a mistake says."""

import copy
import hashlib
import inspect
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from brian2.units import Hz, ms, mV, second
from test_data import real_directory

from bioopzo import tasks
from bioopzo.datasets import cifar
from bioopzo.datasets.files import DATASETS
from bioopzo.errors import BioopzoError, InputError
from bioopzo.tasks import Task
from bioopzo.tasks._digit_images import digit_images
from bioopzo.tasks._spike_templates import draw_templates, noisy_copies

EVERY = sorted(tasks.available())
#: Those of event data and of colour images have tests of their own.
MEMORY = ("delayed_match", "evidence_accumulation", "store_recall")
TASKS = [name for name in EVERY if "engine" not in tasks.defaults(name) and name not in cifar.SETS]

# Published generator (Kriener et al. 2022): seed, size, sha256 of samples (<f8), of labels (<i8).
YIN_YANG = [
    (
        42,
        5000,
        "f5a4054d56f2a058f8250fba7ff9720458e1625db7af78a295e45701745b2228",
        "534d12acda4f9dbc7208a99d3646115a4aa7d74ca31d6d23f822079a568559b7",
    ),
    (
        41,
        1000,
        "5eac358bdf2122763dce3703a79f3005e56e46a4db25ec329a07333d0f7b8093",
        "5a4c2f605814a620f514c1091f10441ce562cd81e902ce701b3cf94ae7576f7d",
    ),
    (
        40,
        1000,
        "7bab3ed668ed4992679cff6339fe21bfe7d0c921ddc6187eaa3bc6ef34b888d7",
        "daa0f8f4e3b37b1ddec2afee22f09afb768f0e575f3f568e7469f1ebc6af73c1",
    ),
]


def small(**changes):
    """Fields of a valid three-step task, with some of them changed."""
    fields = {
        "name": "small",
        "inputs": np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [1.0, 1.0]]),
        "targets": np.eye(2)[[0, 1, 0, 1]],
        "labels": np.array([0, 1, 0, 1]),
        "mask": np.array([0, 1, 1]),
        "splits": {"train": [0, 1], "validation": [2], "test": [3]},
        "coding": "current",
        "duration": 3 * ms,
        "dt": 1 * ms,
    }
    return Task(**{**fields, **changes})


def default_task(name):
    """A task with its default options; skips the test if its data are not on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        if name in DATASETS:
            patch.setenv("BIOOPZO_DATA", str(real_directory(name)))
        return tasks.get(name)


class Made(dict):
    """Tasks by name, each made when it is first asked for."""

    def __missing__(self, name):
        self[name] = default_task(name)
        return self[name]


@pytest.fixture(scope="module")
def made():
    """Every task with its default options, made once."""
    return Made()


# ---- every task ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_task_is_consistent(made, name):
    task = made[name]
    assert task.name == name
    assert task.inputs.shape[0] == task.samples == len(task.targets)
    assert task.steps == round(float(task.duration / task.dt)) == task.mask.shape[-1]
    members = np.concatenate(list(task.splits.values()))
    np.testing.assert_array_equal(np.sort(members), np.arange(task.samples))
    for array in (task.inputs, task.targets, task.mask, *task.splits.values()):
        assert not array.flags.writeable
    warmup = 3 if name in DATASETS else 20  # steps; dt is 1 ms
    if name in MEMORY:  # read when asked, which differs from trial to trial
        assert 1 < len(task.masks) < 10 and task.mask.shape == (task.samples, task.steps)
        assert len(set(task.mask.sum(axis=1))) == 1
    else:
        np.testing.assert_array_equal(task.mask, np.arange(task.steps) >= warmup)
    named = {"theta"} if name in DATASETS else {"rho0", "Delta"}
    assert named | {"tau_m", "tau_o", "b", "gain"} <= set(task.parameters)
    if task.labels is not None:
        if task.feedback == "target":
            np.testing.assert_array_equal(task.targets.argmax(axis=1), task.labels)
            np.testing.assert_array_equal(task.targets.sum(axis=1), 1)
        for split in task.splits.values():
            assert set(task.labels[split]) == set(range(task.classes))


@pytest.mark.parametrize("name", TASKS)
def test_task_is_repeatable_and_leaves_global_random_state_alone(made, name):
    before = np.random.get_state()[1].copy()
    again = default_task(name)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    for field in ("inputs", "targets", "mask"):
        np.testing.assert_array_equal(getattr(again, field), getattr(made[name], field))


@pytest.mark.parametrize("name", TASKS)
def test_task_survives_pickle_and_deepcopy(made, name):
    for other in (pickle.loads(pickle.dumps(made[name])), copy.deepcopy(made[name])):
        np.testing.assert_array_equal(other.inputs, made[name].inputs)
        assert not other.inputs.flags.writeable
        assert other.parameters == made[name].parameters
        assert repr(other) == repr(made[name])


@pytest.mark.parametrize("name", EVERY)
def test_every_task_documents_every_option(name):
    function = tasks.available()[name]
    text = inspect.getdoc(function)
    for option in inspect.signature(function).parameters:
        assert re.search(rf"^[\w, ]*\b{option}\b[\w, ]* \|", text, re.MULTILINE), option
    assert tasks.summary()[name] == text.splitlines()[0]
    assert getattr(tasks, name) is function and name in dir(tasks)


def test_get_passes_options_and_names_mistakes():
    assert tasks.get("xor", duration=100 * ms).steps == 100
    with pytest.raises(InputError, match="'digts'.*did you mean 'digits'.*temporal_patterns"):
        tasks.get("digts")
    with pytest.raises(InputError, match="option of task xor 'nois'.*did you mean 'noise'.*warmup"):
        tasks.get("xor", nois=0)
    with pytest.raises(InputError, match="unknown task 3"):
        tasks.get(3)
    assert issubclass(InputError, BioopzoError) and issubclass(InputError, ValueError)


# ---- Task ---------------------------------------------------------------------------------------


def test_task_properties_repr_and_defaults():
    task = small()
    assert (task.samples, task.steps, task.n_in, task.n_out, task.classes) == (4, 3, 2, 2, 2)
    assert repr(task) == (
        "<Task 'small': train 2, validation 1, test 1; 2 inputs (current), 2 outputs (2 classes); "
        "trials of 3. ms, 3 steps>"
    )
    assert task.input_rate == 200 * Hz and task.hidden == (32, 32) and task.parameters == {}


def test_task_takes_copies_and_freezes_them():
    inputs = np.ones((4, 2))
    task = small(inputs=inputs)
    inputs[:] = 7
    assert (task.inputs == 1).all()
    for change in (
        lambda: task.inputs.__setitem__(0, 0),
        lambda: task.splits.__setitem__("train", [0]),
        lambda: task.parameters.__setitem__("b", 1),
        lambda: setattr(task, "name", "other"),
    ):
        with pytest.raises((ValueError, TypeError, AttributeError)):
            change()


def test_current_inputs_may_be_single_precision():
    single = np.ones((4, 2), np.float32)
    assert small(inputs=single).inputs.dtype == np.float32
    poisson = small(inputs=single, coding="poisson")
    assert poisson.inputs.dtype == small(inputs=np.ones((4, 2), int)).inputs.dtype == np.float64
    single.flags.writeable = False
    assert small(inputs=single).inputs is single  # handed over, not copied


def test_replace_makes_a_checked_copy():
    task = small()
    other = task.replace(hidden=[5], labels=None)
    assert other.hidden == (5,) and other.classes is None and task.hidden == (32, 32)
    assert other.inputs is task.inputs  # frozen arrays are shared, not copied
    with pytest.raises(InputError, match="'poison'.*did you mean 'poisson'"):
        task.replace(coding="poison")
    with pytest.raises(InputError, match="no field 'hiden'.*did you mean 'hidden'"):
        task.replace(hiden=(5,))


@pytest.mark.parametrize("trials", [1, 2, 7, 40])
def test_presentation_shows_whole_epochs_in_new_orders(trials):
    task = small(splits={"train": [0, 2, 3], "validation": [], "test": [1]})
    shown = task.presentation("train", trials, np.random.default_rng(0))
    assert shown.shape == (trials,) and shown.dtype == np.int64
    for start in range(0, trials - 2, 3):
        assert sorted(shown[start : start + 3]) == [0, 2, 3]
    if trials == 40:
        assert len({tuple(shown[i : i + 3]) for i in range(0, 39, 3)}) > 2
    np.testing.assert_array_equal(
        shown, task.presentation("train", trials, np.random.default_rng(0))
    )


def test_presentation_names_mistakes():
    task = small(splits={"train": [0, 1, 2], "validation": [], "test": [3]})
    rng = np.random.default_rng(0)
    for arguments, message in [
        (("trian", 3, rng), "split must be 'train'.*did you mean 'train'"),
        (("validation", 3, rng), "'validation' is empty"),
        (("train", 0, rng), "trials must be a whole number of at least 1, not 0"),
        (("train", 2.5, rng), "trials must be a whole number"),
        (("train", 3, 1), "rng must be a numpy Generator"),
    ]:
        with pytest.raises(InputError, match=message):
            task.presentation(*arguments)


NAN = np.array([[0, 1], [1, 0], [np.nan, 0], [1, 1]])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"name": ""}, "name must be a text"),
        ({"coding": "spike"}, "small: coding must be 'current' .*not 'spike'.*mean 'spikes'"),
        ({"inputs": np.ones(4)}, r"inputs with coding 'current'.*\(samples, n_in\).*\(4,\)"),
        ({"inputs": np.ones((0, 2))}, r"inputs.*none of them 0, not \(0, 2\)"),
        ({"inputs": [[1, 2], [3]]}, "inputs must be a rectangular array of numbers"),
        ({"inputs": NAN}, r"inputs must be finite, but inputs\[2, 0\] = nan"),
        ({"targets": NAN}, r"targets must be finite, but targets\[2, 0\] = nan"),
        ({"targets": np.where(np.isnan(NAN), np.inf, 0)}, r"targets\[2, 0\] = inf"),
        ({"targets": np.ones((3, 2))}, r"targets must have the shape .*\(4, 3, m\), not \(3, 2\)"),
        ({"targets": np.ones((4, 2, 2))}, r"targets must have the shape .* not \(4, 2, 2\)"),
        ({"targets": np.ones((4, 0))}, "targets must have the shape"),
        ({"labels": [0, 1, 2, 1]}, r"labels must lie in 0 \.\.\. 1 .*span 0 to 2"),
        ({"labels": [0, 1, -1, 1]}, "labels must lie in .* span -1 to 1"),
        ({"labels": [0.0, 1, 0, 1]}, "labels must be None or 4 whole numbers.*float64"),
        ({"labels": [0, 1]}, "labels must be None or 4 whole numbers"),
        ({"mask": [1, 1]}, r"mask must have one value per step, \(3,\), or,.* not \(2,\)"),
        ({"mask": [0, 0, 0]}, "mask is 0 throughout"),
        ({"mask": [0, 0.5, 1]}, "mask must hold only 0 and 1"),
        ({"duration": 3}, "duration must be a time with its unit.*not 3, which has no unit"),
        ({"duration": 3 * Hz}, "duration must be a time with its unit.*Hz"),
        ({"duration": 0 * ms}, "duration must be one positive time"),
        ({"duration": [3, 3] * ms}, "duration must be one positive time"),
        ({"dt": -1 * ms}, "dt must be one positive time"),
        ({"dt": np.nan * second}, "dt must be one positive time"),
        ({"dt": 2 * ms}, "dt must divide duration into whole steps.*1.5 steps"),
        ({"input_rate": 3 * mV}, "input_rate must be a rate with its unit"),
        ({"input_rate": -3 * Hz}, "input_rate must be one positive rate"),
        ({"coding": "poisson", "inputs": -np.ones((4, 2))}, "must not be negative.*smallest is -1"),
        (
            {"coding": "poisson", "input_rate": 2000 * Hz},
            "largest input, 1, times input_rate=2. kHz is more than one spike per dt",
        ),
        ({"coding": "spikes"}, r"inputs with coding 'spikes'.*\(samples, steps, n_in\)"),
        ({"coding": "spikes", "inputs": np.ones((4, 2, 2))}, "inputs have 2 time steps.*makes 3"),
        ({"coding": "spikes", "inputs": np.full((4, 3, 2), 2)}, "must be 0 or 1.*span 2 to 2"),
        ({"coding": "spikes", "inputs": np.full((4, 3, 2), 0.5)}, "must be 0 or 1"),
        ({"splits": [0, 1]}, "splits must map train, validation, test"),
        ({"splits": {"train": [0], "test": [1]}}, "splits must map train, validation, test"),
        (
            {"splits": {"train": [0, 1], "validation": [2], "test": [1]}},
            "splits must be disjoint, but sample 1 is in both 'train' and 'test'",
        ),
        (
            {"splits": {"train": [0], "validation": [1], "test": [4]}},
            r"splits\['test'\] must hold indices in 0 \.\.\. 3",
        ),
        (
            {"splits": {"train": [0], "validation": [-1], "test": [3]}},
            r"splits\['validation'\] must hold indices",
        ),
        (
            {"splits": {"train": [True, False], "validation": [], "test": []}},
            r"splits\['train'\] must be a list of sample indices",
        ),
        ({"splits": {"train": [], "validation": [1], "test": [2]}}, r"splits\['train'\] is empty"),
        ({"hidden": 32}, "hidden must list layer sizes"),
        ({"hidden": (32, 0)}, "hidden layer size must be a whole number of at least 1, not 0"),
        ({"parameters": {"tau m": 1}}, "parameters must map names to values"),
    ],
)
def test_task_names_what_is_wrong(changes, message):
    with pytest.raises(InputError, match=message):
        small(**changes)


# ---- digits -------------------------------------------------------------------------------------


def test_digits_are_split_as_stated(made):
    task = made["digits"]
    sizes = {split: len(members) for split, members in task.splits.items()}
    assert sizes == {"train": 1197, "validation": 240, "test": 360}
    assert (task.samples, task.n_in, task.n_out, task.hidden) == (1797, 64, 10, (32, 32))
    assert task.inputs.min() == 0 and task.inputs.max() == 1
    order = np.random.RandomState(0).permutation(1797)
    np.testing.assert_array_equal(task.splits["test"], order[:360])
    p = task.parameters
    assert p["rho0"] == 500 * Hz and p["tau_m"] == p["tau_o"] == 10 * ms
    assert (p["Delta"], p["b"], p["gain"]) == (0.1, 0.5, 2.0)


def test_digits_options():
    task = tasks.digits(coding="poisson", duration=50 * ms, dt=0.5 * ms, warmup=10 * ms)
    assert (task.coding, task.steps, task.mask.sum()) == ("poisson", 100, 80)
    assert task.input_rate == 200 * Hz
    for options, message in [
        ({"coding": "spike"}, "digits: coding must be 'current' or 'poisson', not 'spike'"),
        ({"coding": "poison"}, "did you mean 'poisson'"),
        ({"warmup": 60 * ms}, "warmup=60. ms must be shorter than duration"),
        ({"warmup": -1 * ms}, "warmup must be one zero or positive time"),
        ({"warmup": 20}, "warmup must be a time with its unit, such as warmup=20"),
        ({"dt": 7 * ms}, "digits: dt must divide duration"),
    ]:
        with pytest.raises(InputError, match=message):
            tasks.digits(**options)


# ---- Yin-Yang -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed, size, samples_hash, labels_hash", YIN_YANG)
def test_yin_yang_samples_are_the_published_ones(seed, size, samples_hash, labels_hash):
    samples, labels = tasks.yin_yang_samples(seed, size)
    assert hashlib.sha256(samples.astype("<f8").tobytes()).hexdigest() == samples_hash
    assert hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest() == labels_hash


def test_yin_yang_task(made):
    task = made["yin_yang"]
    x, y = 0.6803075, 0.4504993  # the first published training sample, a dot
    expected = (np.array([x, y, 1 - x, 1 - y]) - 0.5) * 4
    np.testing.assert_allclose(task.inputs[0], expected, atol=4e-7)
    assert task.labels[0] == 2
    assert [len(task.splits[s]) for s in ("train", "validation", "test")] == [5000, 1000, 1000]
    for part, (seed, size, *_) in zip(("train", "validation", "test"), YIN_YANG, strict=True):
        labels = tasks.yin_yang_samples(seed, size)[1]
        np.testing.assert_array_equal(task.labels[task.splits[part]], labels)
    # Balanced: 7000/3 per class, binomial sd 39; four of them.
    assert np.abs(np.bincount(task.labels) - 7000 / 3).max() < 4 * 39.5
    np.testing.assert_allclose(tasks.yin_yang(scale=1.0).inputs * 4, task.inputs)


def test_yin_yang_mistakes():
    assert not tasks.yin_yang_samples(1, 5)[0].flags.writeable
    for call in (
        lambda: tasks.yin_yang_samples(1, 0),
        lambda: tasks.yin_yang_samples(-1, 5),
        lambda: tasks.yin_yang(scale=0),
        lambda: tasks.yin_yang(scale=np.nan),
    ):
        with pytest.raises(InputError, match="size|seed|scale"):
            call()


# ---- temporal patterns --------------------------------------------------------------------------


def test_templates_have_equal_counts_in_distinct_bins():
    bins = draw_templates(np.random.default_rng(0), 10, 40, 3, 60)
    assert bins.shape == (10, 40, 3) and bins.min() >= 0 and bins.max() < 60
    assert (np.diff(bins, axis=-1) > 0).all()
    # No bin is favoured: 1200 spikes over 60 bins, chi-square with 59 degrees of freedom.
    expected = 1200 / 60
    chi2 = ((np.bincount(bins.ravel(), minlength=60) - expected) ** 2 / expected).sum()
    assert 59 - 4 * np.sqrt(2 * 59) < chi2 < 59 + 4 * np.sqrt(2 * 59)


def test_copies_without_noise_are_the_template():
    rng = np.random.default_rng(0)
    bins = draw_templates(rng, 2, 5, 3, 20)
    spikes = noisy_copies("x", rng, bins, np.array([1, 0]), 20, jitter=0, deletion=0)
    for sample, template in ((0, 1), (1, 0)):
        for neuron in range(5):
            fired = np.flatnonzero(spikes[sample, :, neuron])
            np.testing.assert_array_equal(fired, bins[template, neuron])


def test_jitter_and_deletion_have_the_stated_size():
    rng = np.random.default_rng(1)
    bins = np.full((1, 1, 1), 50)
    spikes = noisy_copies("x", rng, bins, np.zeros(20000, int), 100, jitter=2, deletion=0.2)
    sample, step, _ = np.nonzero(spikes)
    # 20000 binomial draws: sd of the kept fraction 0.0028. Rounding to bins adds 1/12 to the
    # variance; relative sd of an sd from 16000 draws is 0.0056. Four of each.
    assert abs(len(sample) / 20000 - 0.8) < 4 * 0.0029
    assert abs(step.std() / np.sqrt(4 + 1 / 12) - 1) < 4 * 0.0057
    assert abs(step.mean() - 50) < 4 * 2.02 / np.sqrt(16000)


def test_spike_counts_before_deletion_are_the_same_in_every_sample():
    task = tasks.temporal_patterns(deletion=0, jitter=5 * ms, spikes_per_input=4, train=200)
    assert (task.inputs.sum(axis=1) == 4).all()


def test_temporal_patterns_class_is_in_the_times_only(made):
    task = made["temporal_patterns"]
    assert task.inputs.shape == (3300, 60, 80) and task.inputs.dtype == np.uint8
    assert task.hidden == (20, 20)
    train, test = task.splits["train"], task.splits["test"]
    assert (len(train), len(task.splits["validation"]), len(test)) == (2400, 300, 600)
    np.testing.assert_array_equal(np.bincount(task.labels[train]), 240)
    truth = task.labels[test]

    def means(features):
        return np.stack([features[train][task.labels[train] == c].mean(axis=0) for c in range(10)])

    # Chance: 0.1, binomial sd over 600 samples 0.0122; four of them.
    counts = task.inputs.sum(axis=1).astype(float)
    distance = ((counts[test][:, None] - means(counts)) ** 2).sum(axis=-1)
    assert abs((distance.argmin(axis=1) == truth).mean() - 0.1) < 4 * 0.0123

    # The class means in time (templates smeared by jitter) recognise nearly everything.
    times = task.inputs.reshape(3300, -1).astype(float)
    match = times[test] @ means(times).T
    assert (match.argmax(axis=1) == truth).mean() > 0.98


def test_temporal_patterns_every_trial_is_fresh(made):
    inputs = made["temporal_patterns"].inputs.reshape(3300, -1)
    assert len(np.unique(inputs, axis=0)) == 3300


def test_temporal_patterns_options_and_mistakes():
    task = tasks.temporal_patterns(
        classes=5, inputs=30, train=50, validation=0, test=10, warmup=40 * ms, seed=3
    )
    assert (task.n_out, task.n_in, task.samples, task.mask.sum()) == (5, 30, 60, 20)
    for options, message in [
        ({"classes": 1}, "temporal_patterns: classes must be a whole number of at least 2"),
        ({"spikes_per_input": 61}, "spikes_per_input must be at most the 60 steps"),
        ({"spikes_per_input": 50}, "lower spikes_per_input or jitter"),
        ({"jitter": 2}, "jitter must be a time with its unit"),
        ({"deletion": 1.0}, "deletion must be .* below 1"),
        ({"deletion": -0.1}, "deletion must be"),
        ({"seed": -1}, "seed must be"),
        ({"train": 0}, "train must be"),
    ]:
        with pytest.raises(InputError, match=message):
            tasks.temporal_patterns(**{"train": 20, "validation": 0, "test": 0, **options})


# ---- xor and pattern generation -----------------------------------------------------------------


def test_xor_truth_table():
    task = tasks.xor(noise=0)
    for (p, q, not_p, not_q), label in zip(task.inputs, task.labels, strict=True):
        assert (not_p, not_q, label) == (1 - p, 1 - q, p != q)
    for split, size in (("train", 400), ("validation", 100), ("test", 100)):
        pairs = task.inputs[task.splits[split]] @ [2, 1, 0, 0]
        np.testing.assert_array_equal(np.bincount(pairs.astype(int)), size // 4)
    noise = tasks.xor(noise=0.1).inputs - task.inputs
    assert abs(noise.std() / 0.1 - 1) < 4 / np.sqrt(2 * noise.size)  # relative sd of an sd
    with pytest.raises(InputError, match="xor: noise must be"):
        tasks.xor(noise=-1)


def test_pattern_generation_targets(made):
    task = made["pattern_generation"]
    assert task.inputs.shape == (780, 200, 40) and task.targets.shape == (780, 200, 2)
    assert task.labels is None and task.classes is None and task.hidden == (40,)
    assert task.parameters["c"] == 1.0
    curves = np.unique(task.targets, axis=0)
    assert len(curves) == 3
    np.testing.assert_allclose(np.abs(curves).max(axis=1), 1)
    # Exactly the stated sinusoids: 1, 2 and 3 cycles per trial, and nothing else.
    power = np.abs(np.fft.rfft(curves, axis=1)) ** 2
    np.testing.assert_allclose(power[:, 1:4].sum(axis=1), power.sum(axis=1))
    assert (task.inputs.sum(axis=1) == 10).all()
    with pytest.raises(InputError, match="pattern_generation: outputs must be"):
        tasks.pattern_generation(outputs=0)


def test_pattern_generation_can_be_solved_from_the_spikes(made):
    """A linear readout of filtered input spikes, fitted on training trials, follows the target."""
    task = made["pattern_generation"]
    trace = np.zeros((task.samples, task.steps, task.n_in))
    for t in range(task.steps):
        trace[:, t] = trace[:, t - 1] * np.exp(-1 / 7) + task.inputs[:, t]
    on = task.mask == 1
    features = {s: trace[task.splits[s]][:, on].reshape(-1, 40) for s in ("train", "test")}
    wanted = {s: task.targets[task.splits[s]][:, on].reshape(-1, 2) for s in ("train", "test")}
    weights = np.linalg.lstsq(features["train"], wanted["train"], rcond=None)[0]
    rest = wanted["test"] - features["test"] @ weights
    assert (rest**2).mean() < 0.6 * wanted["test"].var()


def test_the_digits_are_those_of_scikit_learn(monkeypatch):
    """Their file is read where it lies; where a version keeps it elsewhere, that is asked."""
    monkeypatch.setenv("KMP_DUPLICATE_LIB_OK", "TRUE")  # which it would set for good
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    read = digit_images()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", lambda _: False)
        asked = digit_images()
    for found in (read, asked):
        np.testing.assert_array_equal(found[0], pixels)
        np.testing.assert_array_equal(found[1], labels)
        assert found[1].dtype == labels.dtype
