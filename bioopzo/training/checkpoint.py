"""Checkpoints: a run goes on to the same bits."""

import json
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from bioopzo.engines.rate.devices import gathered
from bioopzo.engines.rate.engine import Engine
from bioopzo.engines.rate.settings import Settings
from bioopzo.errors import InputError, ModelWarning
from bioopzo.files import writable, write_atomically
from bioopzo.training.log import Log
from bioopzo.training.plan import Plan
from bioopzo.training.watch import Watch

CHECKPOINT_FORMAT = 6


def described_settings(chosen: Settings) -> dict[str, Any]:
    """The settings of the rate engine as JSON holds them, without what changes no result."""
    found = asdict(replace(chosen, checkpoint=None, optimizer=None))
    optimizer = chosen.chosen_optimizer()
    found["schedule"] = chosen.falls
    found["optimizer"] = {"name": optimizer.name, "text": optimizer.text,
                          **dict(optimizer.parameters)}
    if found["augment"] is None:  # runs from before this setting have the same address
        del found["augment"]
    return {k: v for k, v in found.items() if k not in ("checkpoint", "together")}


def checkpoint_identity(meta: Mapping[str, Any], plan: Plan, watch: Watch | None = None
                        ) -> dict[str, Any]:
    """What a checkpoint must agree with: model, task, settings, seed, length, package version.

    `meta` is that of the run, `plan` says when it is evaluated, `watch` what is recorded.
    """
    return {"digest": meta["digest"], "task": meta["task"], "data": meta["task_digest"],
            "seed": meta["seed"], "settings": meta["settings"], "trials": meta["trials"],
            "split": meta["split"], "start": meta.get("start", {}).get("content"),
            "version": meta["versions"]["bioopzo"],
            "evaluations": [mark * plan.batch for mark in plan.marks],
            "evaluation_trials": len(plan.few),
            "record": watch and watch.identity, "format": CHECKPOINT_FORMAT}


def write_checkpoint(path: Path | None, engine: Engine, log: Log, position: int,
                     identity: Mapping[str, Any]) -> None:
    """Write all that a run of the rate engine needs to go on after `position` batches."""
    moments = {f"{key}:{name}": np.asarray(value) for key, kept in engine.moments.items()
               for name, value in kept.items()}
    kinds = {"weights": {key: np.asarray(value) for key, value in engine.weights.items()},
             "moments": moments,
             "shared": {key: np.asarray(value) for key, value in engine.shared.items()},
             "state": {key: gathered(value) for key, value in engine.state.items()}}
    write(path, kinds, log, position, identity, updates=engine.updates_done, batches=engine.batches)


def write(path: Path | None, kinds: Mapping[str, Mapping[str, np.ndarray]], log: Log,
          position: int, identity: Mapping[str, Any], **more: int) -> None:
    """Write what a run needs to go on, with its curve, atomically; nothing without a path.

    Where that cannot be done any more, a warning says so.

    `kinds` are its arrays, kind -> name -> array; `position` is the number of batches done, `more`
    are further numbers. `identity` says which run it is, see `checkpoint_identity`.
    """
    if path is None:
        return
    arrays = {f"{kind}/{name}": value for kind, values in kinds.items()
              for name, value in values.items()}
    arrays |= {f"snapshots/{name}": np.array(values) for name, values in log.snapshots.items()}
    for kind, grown in (("outcomes", log.outcomes), ("recorded", log.recorded)):
        arrays |= {f"{kind}/{name}": np.concatenate(parts) for name, parts in grown.items()}
    content = {"identity": identity, "position": position, "curve": log.curve,
               "trials": log.trials, **more}
    arrays["content"] = np.frombuffer(json.dumps(content).encode(), np.uint8)
    try:
        write_atomically(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
    except OSError as problem:  # the run is worth more
        warnings.warn(f"the checkpoint {path} could not be written ("
                      f"{problem.strerror or problem}): training goes on, and could only be taken "
                      "up from an earlier one, if there is one", ModelWarning, stacklevel=2)


def checkpoint_path(path: str | PathLike) -> Path:
    """The path with the ending that the file has; `InputError` where it cannot be written."""
    path = writable("checkpoint", path)
    return writable("checkpoint", path if path.suffix == ".npz" else f"{path}.npz")


def resume(path: Path | None, engine: Engine, log: Log, identity: Mapping[str, Any]) -> int:
    """Take up a checkpoint of the rate engine; the number of batches done.

    Raises `InputError` when it is not of this run, or damaged.
    """
    return take_up(path, log, identity, ("weights", "shared", "moments", "state"),
                   lambda kinds, content: _put_back(kinds, content, engine))


def take_up(path: Path | None, log: Log, identity: Mapping[str, Any], kinds: Iterable[str],
            put: Callable[[dict[str, dict[str, np.ndarray]], dict[str, Any]], object]) -> int:
    """Take up a checkpoint, if there is one; the number of batches done.

    `put` is called with its arrays, kind -> name -> array (each of the `kinds`, and the snapshots),
    and its numbers, puts them where they were, and raises `KeyError` or `ValueError` where
    something lacks; then the curve is put into `log`. Raises `InputError` when it is not of the run
    with this `identity`, or damaged.
    """
    if path is None or not path.exists():
        return 0
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        content = json.loads(arrays.pop("content").tobytes())
        theirs = content["identity"]
    except Exception as problem:
        raise _unreadable(path, problem) from None
    for name, mine in json.loads(json.dumps(identity)).items():
        if theirs.get(name) != mine:
            raise InputError(f"the checkpoint {path} is of another run: its {name} is "
                             f"{theirs.get(name)!r:.200}, this run's is {mine!r:.200}; give "
                             "another path or remove it")
    found: dict[str, dict[str, np.ndarray]] = {
        kind: {} for kind in (*kinds, "snapshots", "outcomes", "recorded")}
    try:
        for name, value in arrays.items():
            kind, _, key = name.partition("/")
            found[kind][key] = value
        curve, trials, position = content["curve"], content["trials"], content["position"]
        put(found, content)
    except (KeyError, IndexError, TypeError, ValueError) as problem:
        raise _unreadable(path, problem) from None
    log.snapshots = {key: list(value) for key, value in found["snapshots"].items()}
    log.outcomes = {key: [value] for key, value in found["outcomes"].items()}
    log.recorded.update((key, [value]) for key, value in found["recorded"].items())
    log.curve, log.trials = curve, trials
    return position


def _unreadable(path, problem):
    what = f"it has no {problem}" if isinstance(problem, KeyError) else problem
    return InputError(f"the checkpoint {path} cannot be read: {what}; remove it to start anew")


def _put_back(kinds, content, engine):
    """Put everything where it was; `KeyError` where something lacks."""
    moments = {f"{key}:{name}": value for key, kept in engine.moments.items()
               for name, value in kept.items()}
    for kind, places in (("weights", engine.weights), ("shared", engine.shared),
                         ("moments", moments)):
        same_arrays(kind, kinds[kind], places)
    same_names("state", kinds["state"],
               engine.machines[True].state if content["position"] else ())
    if kinds["snapshots"]:
        same_names("snapshots", kinds["snapshots"], {**engine.weights, **engine.shared})
    updates, batches = content["updates"], content["batches"]
    engine.weights, engine.shared = kinds["weights"], kinds["shared"]
    engine.moments = {key: {name: kinds["moments"][f"{key}:{name}"] for name in kept}
                      for key, kept in engine.moments.items()}
    engine.state = kinds["state"]
    engine.updates_done, engine.batches = updates, batches


def same_arrays(kind: str, found: Mapping[str, np.ndarray], places: Mapping[str, Any]) -> None:
    """Refuse arrays of a checkpoint that have not the names and shapes of their `places`."""
    same_names(kind, found, places)
    for key, place in places.items():
        if found[key].shape != place.shape:
            raise ValueError(f"{key} has the shape {found[key].shape}, not {place.shape}")


def same_names(kind: str, found: Collection[str], places: Collection[str]) -> None:
    """Refuse arrays of a checkpoint that are missing (`KeyError`) or unknown (`ValueError`)."""
    for key in sorted(set(places) ^ set(found)):
        if key in places:
            raise KeyError(f"{kind}/{key}")
        raise ValueError(f"{kind}/{key} is unknown")
