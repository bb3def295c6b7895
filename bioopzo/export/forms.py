"""What `Run.export` does: the forms and their files."""

import io
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from bioopzo.engines.spiking.feed import checked_sample
from bioopzo.errors import InputError, unknown
from bioopzo.export.graph import graph
from bioopzo.export.script import script
from bioopzo.files import writable, write_atomically
from bioopzo.measures.trials import attached
from bioopzo.show.exports import optional

#: The forms of an export, and how their files end.
FORMS = {"brian2": ".py", "nir": ".nir"}
#: Trials that a script shows where none are named.
SHOWN = 20


def export(run: Any, form: str, path: str | PathLike, samples: Iterable[int] | None = None) -> Path:
    """Write the trained network of a `run` in a `form` to the file `path`; returns the path.

    ``"brian2"``: a Python script (``*.py``) with its arrays beside it (``*.npz``), which needs
    brian2 and numpy alone. It makes the objects of the network from the text that the spiking
    engine hands to Brian2 (`Model.equations`), parameters and all that was learned included, shows
    it trials of the task, and prints the decisions. `samples` are indices of these, by default the
    first 20 of the test split. With ``--plastic`` the network learns in them, every equation in
    its dense form and learning rates as the model has them, as `TrainedNetwork.present` does: to
    the bit where nothing is drawn. What is drawn, Brian2 draws: other spikes than here, as likely.

    ``"nir"``: a graph (``*.nir``) in the neuromorphic intermediate representation, which needs the
    package nir; what is in it says `export.graph.graph`.

    Raises `InputError` for another form or ending, a place that cannot be written, arrays that
    would replace a file that is none of an export's, samples that the task has not, a run without
    weights, model or task, an architecture with convolutions, inputs that are counts, and, of
    NIR, a network that it cannot say.
    """
    if form not in FORMS:
        raise unknown("form of an export", form, FORMS)
    path = writable("path", path)
    path = path if path.suffix else path.with_suffix(FORMS[form])
    if path.suffix != FORMS[form]:
        raise InputError(f"an export for {form} is a file *{FORMS[form]}, not {path.name}")
    model, task = attached(run)
    if form == "nir":
        _write_graph(graph(run, model, task), path)
        return path
    beside = path.with_suffix(".npz")
    if beside.exists() and not _is_ours(beside):
        raise InputError(f"the arrays of the script would replace {beside}, which belongs to no "
                         "export: give it another name")
    text, arrays = script(run, model, task, _chosen(task, samples), path.stem)
    write_atomically(beside, lambda file: np.savez_compressed(
        file, **arrays))  # type: ignore[arg-type]
    write_atomically(path, lambda file: file.write(text.encode()))
    return path


def _write_graph(made, path):
    content = io.BytesIO()
    optional("nir", "an export to NIR").write(content, made)
    write_atomically(path, lambda file: file.write(content.getvalue()))


def _is_ours(path):
    """Whether a file holds the arrays of an export."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return "mark" in file
    except (OSError, ValueError, BadZipFile):
        return False


def _chosen(task, samples):
    """The indices of the trials that a script shows, by default the first of the test split."""
    if samples is None:
        samples = next(task.splits[name] for name in ("test", "validation", "train")
                       if len(task.splits[name]))[:SHOWN]
    if np.ndim(samples) != 1 or not np.size(samples):
        raise InputError("samples is a list of indices of trials, such as range(20), not "
                         f"{samples!r:.60}")
    return np.array([checked_sample(task, one) for one in samples])
