"""Results: named arrays with units and provenance, saved without pickle and atomically."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

# Packages that load what is asked of them: a run is data, and quick to import.
from bioopzo import export, measures, plots, show, texts
from bioopzo.engines import spiking
from bioopzo.errors import InputError, unknown
from bioopzo.held import Made, Part, made_of, on_its_trials, read_run, write_run
from bioopzo.network.layers import recorded

if TYPE_CHECKING:  # both take long to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bioopzo.engines.spiking.trained import TrainedNetwork


@dataclass
class Run:
    """What a training run left.

    `arrays`: name -> array. `curve/trials`, `curve/accuracy`, `curve/loss` (held-out trials,
    plasticity and perturbation off; `curve/held_out`: how many), `rates/hidden_1` ... (Hz, on the
    same; the first untrained), `final/<object>.<variable>` (the state) and
    `snapshots/<object>.<variable>` (whatever is learned, and running statistics), all but the state
    one per point of the curve;
    `training/...` and `held_out/...`: what single trials came to, see `outcomes`;
    `recorded/...`: see `recorded`. `model` and `task`: those of a loaded run are made of its file
    when they are first asked for, of what `made_of` holds; a task that was made from arrays is None
    there. `units`: the unit of each array. `meta`: rule, task, seed,
    trials, backend, versions, digest, `test_accuracy`, `complete` ... (all JSON). `final` is the
    final state by name: ``run.final["forward_1.w"]``. A run can be pickled and copied, with its
    model and task.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    model: Any = Made()  # noqa: RUF009  a descriptor: see there
    task: Any = Made()  # noqa: RUF009
    made_of: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self):
        # An attribute, not a property: notebooks complete its keys.
        self.final = Part(self.arrays, "final/")

    def __getstate__(self):
        """What travels to another process or into a copy: the data, not Brian2's objects."""
        return {entry.name: self.__dict__.get(entry.name) for entry in fields(self)}

    def __setstate__(self, state):
        self.__init__(**state)  # type: ignore[misc]  # of this very class

    @property
    def test_accuracy(self) -> float | None:
        """Share of held-out trials decided correctly at the end, or None without classes."""
        return self.meta.get("test_accuracy")

    @property
    def complete(self) -> bool:
        """Whether the run reached its last trial."""
        return bool(self.meta.get("complete"))

    @property
    def network(self) -> "TrainedNetwork":
        """The trained network in Brian2: objects with the final state, and trials to show it.

        ``run.network["hidden_1"]`` is a `brian2.NeuronGroup`; ``run.network.present(sample)`` shows
        a trial of the task, to monitors of your own too. See `TrainedNetwork`. It is made when it
        is first asked for, in the process's own Brian2 session, which stays as it was.

        Raises `InputError` for a run whose task is not known, and for an architecture with
        convolutions.

        Examples
        --------
        >>> monitor = StateMonitor(run.network["hidden_1"], "u", record=True)
        >>> run.network.network.add(monitor)
        >>> run.network.present(task.splits["test"][0])
        >>> monitor.u[:, :20]  # (neurons, steps) of the trial
        """
        if "network" not in self.__dict__:
            self.__dict__["network"] = spiking.restore(
                *measures.attached(self), self.final, measures.before(self.meta))
        return self.__dict__["network"]

    def at(self, point: int) -> "Run":
        """The run as it was at a point of its learning curve (0: untrained).

        Weights, feedback and running statistics (thresholds that adapt over trials, say) are those
        of then. What is not in the snapshots, as the statistics of a run that an older version
        saved, stays that of the end; the score of the end is the last point's alone. Raises
        `InputError` for no such point, and where a network is so large that its weights are kept
        at the end alone.
        """
        count = len(self.arrays.get("curve/trials", ()))
        if not 0 <= point < count:
            raise InputError(f"the learning curve has the points 0 to {count - 1}, not {point}")
        then = {f"final/{name[10:]}": values[point] for name, values in self.arrays.items()
                if name.startswith("snapshots/")}
        if point == count - 1:
            return self._with({**self.arrays, **then})
        if not then:
            raise InputError("this run keeps its weights at the end alone, those of every point "
                             f"would take too much room: run.at({count - 1}) is all there is; an "
                             "untrained network is that of bz.train with a trial or a batch")
        trials = int(self.arrays["curve/trials"][point])
        return self._changed(f"back at trial {trials}", {**self.arrays, **then},
                             {"trials_done": trials})

    def _with(self, arrays=None, meta=None, **more):
        """A copy with other arrays, other words about it, or another model."""
        held: dict[str, Any] = {name: self.__dict__.get(name)
                                for name in ("model", "task", "made_of")} | more
        return Run(self.arrays if arrays is None else arrays, self.units,
                   self.meta if meta is None else meta, **held)

    def _changed(self, how, arrays=None, told=None, **more):
        """A copy of which the scores of the training run are no longer true; `told`: its meta."""
        meta = {name: value for name, value in self.meta.items()
                if name not in ("test_accuracy", "test_loss", "address")}
        return self._with(arrays, {**meta, **(told or {}),
                                   "changed": [*meta.get("changed", ()), how]}, **more)

    def evaluate(self, task: Any = None, split: str = "test", trials: int | None = None,
                 seed: int | None = None) -> "measures.Outcomes":
        """Show held-out trials to the trained network: what was decided, and what it cost.

        Plasticity and perturbation are off, and the run stays as it is. In the engine, back end and
        precision of the run.

        `task` is by default the run's own; another has as many inputs and readouts. `split` is
        ``"test"``, ``"validation"`` or ``"train"``, of which the first `trials` are shown (default
        all). `seed` draws the noise, by default that of the run: its last evaluation comes again
        (of neurons that go on from trial to trial, state_reset=False, from where that one ended
        in the spiking engine, from rest in the rate engine).

        Returns `measures.Outcomes`: ``run.evaluate().accuracy``, `decision`, `loss`, `rates` ...
        Raises `InputError` for a task that does not fit, an unknown or empty split, and a run
        without weights or task.

        Examples
        --------
        >>> run.evaluate().accuracy, run.lesion("hidden_1", range(8)).evaluate().accuracy
        """
        return measures.evaluate(self, task, split, trials, seed)

    def predict(self, inputs: Any, split: str = "test", readout: bool = False) -> np.ndarray:
        """What the trained network answers: the class of each sample (samples,), by its name.

        `inputs` are arrays as those of the run's task, (samples, features) or (samples, steps,
        features), or a Task, of which a `split` is shown. Classes without names (see `Task`) are
        numbers from 0. With `readout`, and where the task has no classes, the readout itself
        (samples, readouts), averaged over the time in which it is read.
        Raises `InputError` for inputs of another shape, and as `evaluate` does.
        """
        return measures.predict(self, inputs, split, readout)

    def outcomes(self, trials: str = "held_out", evaluation: int | None = -1
                 ) -> "measures.Outcomes":
        """What single trials of the training run came to: ``"held_out"``, or ``"training"``.

        `evaluation` is the number of one (-1: the last, None: all). See `measures.outcomes`.
        """
        return measures.outcomes(self, trials, evaluation)

    def record(self, variables: Any, samples: Any = None, plastic: bool = False, seed: int = 0,
               task: Any = None) -> Any:
        """Any variables of any trials of the trained network, step by step, as named data.

        Needs the package xarray (``pip install xarray``).

        `variables` are ``"object.variable"`` of any population or projection (see
        ``model.equations()``), or a part: ``["hidden_1.a", "feedback_2.M[0, :]"]``.
        `samples` are indices of trials of the `task` (default the run's own), shown in this order,
        by default the first of the test split. `plastic` says whether the network learns (and is
        perturbed) in them, in the spiking engine from one to the next; the run stays as it is.
        `seed` draws the noise.

        Returns an `xarray.Dataset` with a variable for each request; dimensions ``trial``, ``time``
        (ms), and the population, of synapses source and target; ``sample`` and ``label`` are
        coordinates of the trials. Values are in base units, in the spiking engine as plasticity
        finds them in the step (before its spikes act), in the rate engine, all trials as one batch,
        after the step. Raises `InputError` for unknown variables, indices that there are not, and
        as `evaluate` does.

        Examples
        --------
        >>> data = run.record(["hidden_1.S", "hidden_1.u[:4]"], task.splits["test"][:50])
        >>> plots.psth(data["hidden_1.S"])
        """
        return measures.record_trials(self, variables, samples, plastic, seed, task)

    @property
    def recorded(self) -> Any:
        """What ``bz.train(..., record=...)`` recorded, as `record` gives it.

        ``trained`` is a further coordinate: the number of training trials before each. Raises
        `InputError` for a run that has recorded nothing.
        """
        told = self.meta.get("recorded")
        if not told:
            raise InputError('this run has recorded nothing: bz.train(..., record=["hidden_1.u"], '
                             "record_trials=[0, 100])")
        return show.recorded_data(self, told)

    def with_state(self, values: Mapping[str, Any]) -> "Run":
        """The run with other weights, or other values of any variable of its final state.

        `values` maps names, as in `final`, to arrays of as many numbers, e.g.
        ``{"forward_2.w": run.final["forward_2.w"] * 0.5}``, or to one number for all. The learning
        curve stays that of the training; `evaluate` shows what the change does.
        Raises `InputError` for an unknown name, and for other sizes.
        """
        if not isinstance(values, Mapping):
            raise InputError('values is a mapping, e.g. {"forward_1.w": array}, not '
                             f"{type(values).__name__}")
        arrays = dict(self.arrays)
        for name, value in values.items():
            if name not in self.final:
                raise unknown("variable of the final state", name, self.final)
            old = np.asarray(self.final[name])
            new = np.asarray(value)
            if new.dtype.kind not in "biuf" or not np.isfinite(new).all():
                raise InputError(f"{name} takes finite numbers, not {value!r:.60}")
            if new.size not in (1, old.size):
                raise InputError(f"{name} holds {old.size} values, not {new.size}")
            if new.ndim > 1 and new.size > 1 and new.shape != self._shape(name):
                raise InputError(f"{name} has the shape {self._shape(name)}, not {new.shape}")
            arrays[f"final/{name}"] = np.broadcast_to(new.ravel(), old.size).astype(
                old.dtype).reshape(old.shape)
        return self._changed(f"with_state: {', '.join(values)}", arrays)

    def lesion(self, population: str, neurons: Any = None) -> "Run":
        """The run with neurons that are silent: they send nothing and learn nothing.

        `population` is a hidden one, `neurons` are the indices of some (default all). The weights
        stay as they are; the silence is a line of the model's text (`texts.silence`), so that
        training goes on with it, ``bz.train(lesioned.model, task, start=lesioned)``.
        Raises `InputError` for an unknown population and for neurons that it has not.
        """
        model = texts.silence(measures.attached(self)[0], population, neurons)
        shown = "all" if neurons is None else len(np.atleast_1d(np.asarray(neurons)))
        return self._changed(f"lesion: {shown} of {population}", model=model)

    def matrix(self, name: str, state: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """A synaptic variable as a matrix (pre, post), e.g. ``matrix("forward_1.w")``.

        `name` is ``"synapses.variable"``; `state` is where it is looked up, by default `final`.
        """
        found = state or self.final
        if name not in found:
            raise unknown("variable of the final state", name, found)
        projections, owner = recorded(self.meta)["projections"], name.split(".")[0]
        if name not in self.meta.get("shapes", {}) and owner not in projections:
            raise unknown("projection", owner, projections)
        return np.asarray(found[name]).reshape(self._shape(name))

    def _shape(self, name):
        """The shape of a variable: of a synaptic one (pre, post)."""
        shape = self.meta.get("shapes", {}).get(name)
        if shape is None:
            told = recorded(self.meta)["projections"].get(name.split(".")[0])
            shape = told["shape"] if told else np.shape(self.final[name])
        return tuple(shape)

    def plot(self) -> "Figure":
        """Learning curve, firing rates, and weights at start and end; returns the figure."""
        return plots.overview(self)

    def plot_learning_curve(self, ax: "Axes | None" = None, error: bool = False) -> "Axes":
        """Held-out accuracy (%) or loss against training trials, drawn into `ax`.

        With `error` the error (100 - accuracy) on a logarithmic axis; see `plots.learning_curves`.
        """
        return plots.learning_curves([self], ax, error=error)

    def plot_rates(self, ax: "Axes | None" = None) -> "Axes":
        """Firing rate (Hz) of every hidden layer against training trials, drawn into `ax`.

        See `plots.rates`.
        """
        return plots.rates(self, ax)

    def plot_weights(self, fig: "Figure | None" = None) -> "Figure":
        """Forward weights of every layer at start and end; returns the figure.

        Drawn into `fig`, by default a new one; see `plots.weights`.
        """
        return plots.weights(self, fig)

    def plot_alignment(self, ax: "Axes | None" = None) -> "Axes":
        """Cosine of feedback and forward weights over training; see `measures.weight_alignment`.

        Drawn into `ax`, by default a new figure. It costs nothing, since the weights were kept;
        `measures.alignment` compares with the expected Jacobian instead. Raises `InputError` for a
        rule without a feedback matrix.
        """
        ax = plots.alignment({self.meta["rule"]: measures.weight_alignment(self)}, ax)
        ax.set_ylabel("Cosine, feedback and\nforward weights")
        return ax

    def plot_raster(self, sample: int | None = None, seed: int = 0, ax: "Axes | None" = None
                    ) -> "Axes":
        """Spikes of one trial of the trained network, plasticity on; see `plots.raster`.

        `sample` is the index of the trial in the task (default: the first of the test split),
        `seed` draws its noise; drawn into `ax`, by default a new figure. Raises `InputError` as
        `measures.record` does.
        """
        return plots.raster(measures.record(self, sample, seed), ax)

    def plot_anatomy(self, sample: int | None = None, neuron: tuple[int | str, int] | None = None,
                     seed: int = 0, fig: "Figure | None" = None) -> "Figure":
        """One trial of one synapse, all that its update is made of; see `plots.anatomy`.

        `sample` is the index of the trial in the task (default: the first of the test split),
        `neuron` is ``(layer, index)``, `seed` draws the trial's noise; drawn into `fig`, by default
        a new one. Returns the figure. Raises `InputError` as `measures.record` does.
        """
        return plots.anatomy(measures.record(self, sample, seed), neuron, fig)

    def to_xarray(self) -> Any:
        """The run as an `xarray.Dataset`; needs the package xarray (``pip install xarray``).

        ``accuracy`` and ``loss`` have the dimension ``evaluation`` with the coordinate ``trials``;
        ``rates_hidden_1`` (Hz) too; ``snapshots_forward_1_w`` has (evaluation, input, hidden_1):
        a dimension is named after the population that it counts, the presynaptic one first;
        ``final_hidden_1_u`` has (hidden_1). Units are in the attributes of each variable (those of
        final states where the run has its model); `meta` is in those of the Dataset, what is not
        text or a number as JSON. Raises `InputError` when xarray is not installed.
        """
        return show.to_xarray(self)

    def to_neo(self, sample: int | None = None, seed: int = 0, plastic: bool = True) -> Any:
        """Spikes of one trial of the trained network as a `neo.Block`.

        `sample` is the index of the trial in the task (default: the first of the test split),
        `seed` draws its noise, `plastic` says whether the weights change in it (see
        `measures.record`). The block is described at `measures.Recording.to_neo`. Raises
        `InputError` when neo is not installed (``pip install neo``).
        """
        return measures.record(self, sample, seed, plastic).to_neo()

    def export(self, form: str, path: str | PathLike, samples: Any = None) -> Path:
        """Write the trained network for other programs to `path`, which is returned.

        `form` is ``"brian2"``, a script that runs without this package and shows `samples` of the
        task (by default 20 of the test split), or ``"nir"``, a graph. Raises `InputError` for what
        cannot be said there: see `bioopzo.export.export`.
        """
        return export.export(self, form, path, samples)

    def save(self, path: str | PathLike) -> Path:
        """Write ``path.npz`` and ``path.json``; each file appears whole or not at all.

        The first is the whole run, the other a copy, to be read, of all but the arrays. The model
        is in it as data, and the task by the name of its function with its options.
        Returns `path` without ending; `Run.load` reads it.
        """
        return write_run(path, self.arrays, {**self.meta, "units": self.units,
                                             "made_of": made_of(self)})

    @classmethod
    def load(cls, path: str | PathLike, task: Any = None) -> "Run":
        """Read what `save` wrote at `path`; `InputError` when ``path.npz`` is missing or damaged.

        Where ``path.json`` is another's, a `ModelWarning` says so.

        ``run.model`` is made of what the file holds, nothing of which is ever run: a rule or neuron
        of the user's own is there as data, and the text of its file in
        ``run.made_of["model"]["files"]``. ``run.task`` is made anew by the function of
        `bioopzo.tasks` that made it, when it is first asked for; one made from arrays is to be
        given, `task`. Either is checked to have the trials that the run was trained on.
        """
        arrays, meta = read_run(path)
        run = cls(arrays, meta.pop("units"), meta, made_of=meta.pop("made_of", {}))
        if task is not None:
            run.task = on_its_trials(run, task)
        return run

    def _repr_html_(self):
        return show.run_html(self)

    def __repr__(self):
        return show.run_line(self)
