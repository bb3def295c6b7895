"""Results: named arrays with units and provenance, saved without pickle and atomically."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

# Packages that load what is asked of them: a run is data, and quick to import.
from bioopzo import measures, plots, show
from bioopzo.engines import spiking
from bioopzo.errors import InputError, unknown
from bioopzo.files import write_atomically, write_json
from bioopzo.network.layers import recorded

if TYPE_CHECKING:  # both take long to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bioopzo.engines.spiking.trained import TrainedNetwork

FORMAT = 1


class Part(Mapping[str, np.ndarray]):
    """The arrays of a run under a prefix, by the rest of their names; it follows the run."""

    def __init__(self, arrays: Mapping[str, np.ndarray], prefix: str):
        self._arrays, self._prefix = arrays, prefix

    def __getitem__(self, name):
        return self._arrays[self._prefix + name]

    def __iter__(self):
        return (name.removeprefix(self._prefix) for name in self._arrays
                if name.startswith(self._prefix))

    def __len__(self):
        return sum(1 for _ in self)

    def __repr__(self):
        return "\n".join(f"{name}: array {np.shape(array)}" for name, array in self.items())

    def _ipython_key_completions_(self):
        return list(self)


@dataclass
class Run:
    """What a training run left.

    `arrays`: name -> array. `curve/trials`, `curve/accuracy`, `curve/loss` (held-out trials,
    plasticity and perturbation off; `curve/held_out`: how many), `rates/hidden_1` ... (Hz, on the
    same; the first untrained), `final/<object>.<variable>` (the state) and
    `snapshots/<synapses>.<w>`, all but the state one per point of the curve. `model` and `task` are
    None in a loaded run. `units`: the unit of each array. `meta`: rule, task, seed, trials,
    backend, versions, digest, `test_accuracy`, `complete` ... (all JSON). `final` is the final
    state by name: ``run.final["forward_1.w"]``. A run can be pickled and copied, with its model
    and task.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    model: Any = None
    task: Any = None

    def __post_init__(self):
        # An attribute, not a property: notebooks complete its keys.
        self.final = Part(self.arrays, "final/")

    def __getstate__(self):
        """What travels to another process or into a copy: the data, not Brian2's objects."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

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

        Raises `InputError` for a loaded run without model and task, and for an architecture with
        convolutions.

        Examples
        --------
        >>> monitor = StateMonitor(run.network["hidden_1"], "u", record=True)
        >>> run.network.network.add(monitor)
        >>> run.network.present(task.splits["test"][0])
        >>> monitor.u[:, :20]  # (neurons, steps) of the trial
        """
        if self.model is None or self.task is None:
            raise InputError("a loaded run has no model or task attached: set run.model, run.task")
        if "network" not in self.__dict__:
            self.__dict__["network"] = spiking.restore(
                self.model, self.task, self.final, self.meta["trials"])
        return self.__dict__["network"]

    def at(self, point: int) -> "Run":
        """The run as it was at a point of its learning curve (0: untrained): weights, feedback.

        What is not in the snapshots stays that of the end. Raises `InputError` for no such point.
        """
        count = len(self.arrays.get("curve/trials", ()))
        if not 0 <= point < count:
            raise InputError(f"the learning curve has the points 0 to {count - 1}, not {point}")
        then = {f"final/{name[10:]}": values[point] for name, values in self.arrays.items()
                if name.startswith("snapshots/")}
        return Run({**self.arrays, **then}, self.units, self.meta, self.model, self.task)

    def matrix(self, name: str, state: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """A synaptic variable as a matrix (pre, post), e.g. ``matrix("forward_1.w")``.

        `name` is ``"synapses.variable"``; `state` is where it is looked up, by default `final`.
        """
        values = (state or self.final)[name]
        shape = self.meta.get("shapes", {}).get(name)
        if shape is None:
            projections = recorded(self.meta)["projections"]
            owner = name.split(".")[0]
            if owner not in projections:
                raise unknown("projection", owner, projections)
            shape = projections[owner]["shape"]
        return np.asarray(values).reshape(shape)

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

    def save(self, path: str | PathLike) -> Path:
        """Write ``path.npz`` and ``path.json``; each file appears whole or not at all.

        Returns `path` without ending; `Run.load` reads it.
        """
        path = _stem(path)
        meta = {**self.meta, "format": FORMAT, "units": self.units}
        write_atomically(path.with_name(path.name + ".npz"),
                         lambda f: np.savez_compressed(f, **self.arrays))  # type: ignore[arg-type]
        write_json(path.with_name(path.name + ".json"), meta)
        return path

    @classmethod
    def load(cls, path: str | PathLike) -> "Run":
        """Read what `save` wrote at `path`; `InputError` when a file is missing or damaged.

        The run has no model and task attached: set ``run.model`` and ``run.task`` where needed.
        """
        path = _stem(path)
        try:
            meta = json.loads(path.with_name(path.name + ".json").read_text())
            with np.load(path.with_name(path.name + ".npz"), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except FileNotFoundError as problem:
            raise InputError(f"no saved run at {path}: {problem.filename} is missing") from None
        except Exception as problem:
            raise InputError(f"the saved run at {path} cannot be read: {problem}") from None
        if meta.get("format") != FORMAT:
            raise InputError(f"{path}.json has format {meta.get('format')!r}, "
                             f"this version reads {FORMAT}")
        return cls(arrays, meta.pop("units"), meta)

    def _repr_html_(self):
        return show.run_html(self)

    def __repr__(self):
        m = self.meta
        accuracy = m.get("test_accuracy")
        score = f"{100 * accuracy:.1f} % of held-out trials" if accuracy is not None else \
            f"held-out loss {m.get('test_loss', float('nan')):.4f}"
        shown = show.evaluated(self)
        score += f" ({shown})" if shown else ""
        state = "" if self.complete else ", INCOMPLETE"
        rates = f"; {m['learning_rates']}" if "learning_rates" in m else ""
        return (f"Run {m.get('rule')} on {m.get('task')}: {m.get('trials')} trials, seed "
                f"{m.get('seed')}, {m.get('backend')} ({m.get('wall_s', 0):.1f} s): {score}{state}"
                f"{rates}")


def _stem(path: str | PathLike) -> Path:
    path = Path(path)
    return path.with_suffix("") if path.suffix in (".npz", ".json") else path
