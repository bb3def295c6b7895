"""Checkpoints of the rate engine: a run goes on to the same bits."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from bioopzo.engines.rate.devices import gathered
from bioopzo.engines.rate.engine import Engine
from bioopzo.engines.rate.settings import Settings
from bioopzo.errors import InputError
from bioopzo.files import write_atomically
from bioopzo.training.log import Log

CHECKPOINT_FORMAT = 5


def described_settings(chosen: Settings) -> dict[str, Any]:
    """The settings of the rate engine as JSON holds them, without what changes no result."""
    found = asdict(replace(chosen, checkpoint=None, optimizer=None))
    optimizer = chosen.chosen_optimizer()
    found["schedule"] = chosen.falls
    found["optimizer"] = {"name": optimizer.name, "text": optimizer.text,
                          **dict(optimizer.parameters)}
    return {k: v for k, v in found.items() if k not in ("checkpoint", "together")}


def checkpoint_identity(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint must agree with: model, task, settings, seed, length, package version.

    `meta` is that of the run.
    """
    return {"digest": meta["digest"], "task": meta["task"], "data": meta["task_digest"],
            "seed": meta["seed"], "settings": meta["settings"], "trials": meta["trials"],
            "split": meta["split"], "start": meta.get("start", {}).get("content"),
            "version": meta["versions"]["bioopzo"],
            "format": CHECKPOINT_FORMAT}


def write_checkpoint(path: Path | None, engine: Engine, log: Log, position: int,
                     identity: Mapping[str, Any]) -> None:
    """Write all that a run needs to go on after `position` batches; nothing without a path."""
    if path is None:
        return
    arrays: dict[str, Any] = {f"weights/{k}": np.asarray(v) for k, v in engine.weights.items()}
    arrays |= {f"moments/{k}:{name}": np.asarray(v) for k, kept in engine.moments.items()
               for name, v in kept.items()}
    arrays |= {f"shared/{k}": np.asarray(v) for k, v in engine.shared.items()}
    arrays |= {f"state/{k}": gathered(v) for k, v in engine.state.items()}
    arrays |= {f"snapshots/{k}": np.array(v) for k, v in log.snapshots.items()}
    arrays |= {f"outcomes/{k}": np.concatenate(v) for k, v in log.outcomes.items()}
    content = {"identity": identity, "position": position, "updates": engine.updates_done,
               "batches": engine.batches, "curve": log.curve, "trials": log.trials}
    arrays["content"] = np.frombuffer(json.dumps(content).encode(), np.uint8)
    write_atomically(path, lambda file: np.savez(file, **arrays))


def checkpoint_path(path: str | PathLike) -> Path:
    """The path with the ending that the file has."""
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")


def resume(path: Path | None, engine: Engine, log: Log, identity: Mapping[str, Any]) -> int:
    """Take up a checkpoint; the number of batches done. `InputError` when it is not of this run."""
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
                             f"{theirs.get(name)!r}, this run's is {mine!r}; give another path or "
                             "remove it")
    try:
        return _take_up(arrays, content, engine, log)
    except (KeyError, IndexError, TypeError, ValueError) as problem:
        raise _unreadable(path, problem) from None


def _unreadable(path, problem):
    what = f"it has no {problem}" if isinstance(problem, KeyError) else problem
    return InputError(f"the checkpoint {path} cannot be read: {what}; remove it to start anew")


def _take_up(arrays, content, engine, log):
    """Put everything where it was; the number of batches done. `KeyError` where something lacks."""
    kinds: dict[str, dict[str, np.ndarray]] = {
        kind: {} for kind in ("weights", "shared", "moments", "snapshots", "outcomes", "state")}
    for name, value in arrays.items():
        kind, _, key = name.partition("/")
        kinds[kind][key] = value
    moments = {f"{key}:{name}": value for key, kept in engine.moments.items()
               for name, value in kept.items()}
    for kind, places in (("weights", engine.weights), ("shared", engine.shared),
                         ("moments", moments)):
        _same_names(kind, kinds[kind], places)
        for key, place in places.items():
            if kinds[kind][key].shape != place.shape:
                raise ValueError(f"{key} has the shape {kinds[kind][key].shape}, not {place.shape}")
    _same_names("state", kinds["state"],
                engine.machines[True].state if content["position"] else ())
    if kinds["snapshots"]:
        _same_names("snapshots", kinds["snapshots"], engine.weights)
    engine.weights, engine.shared = kinds["weights"], kinds["shared"]
    engine.moments = {key: {name: kinds["moments"][f"{key}:{name}"] for name in kept}
                      for key, kept in engine.moments.items()}
    engine.state = kinds["state"]
    engine.updates_done, engine.batches = content["updates"], content["batches"]
    log.snapshots = {key: list(value) for key, value in kinds["snapshots"].items()}
    log.outcomes = {key: [value] for key, value in kinds["outcomes"].items()}
    log.curve, log.trials = content["curve"], content["trials"]
    return content["position"]


def _same_names(kind, found, places):
    for key in sorted(set(places) ^ set(found)):
        if key in places:
            raise KeyError(f"{kind}/{key}")
        raise ValueError(f"{kind}/{key} is unknown")
