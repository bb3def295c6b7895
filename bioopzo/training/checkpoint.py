"""Checkpoints of the rate engine: a run goes on to the same bits."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from bioopzo.engines.rate.engine import Engine
from bioopzo.engines.rate.settings import Settings
from bioopzo.errors import InputError
from bioopzo.files import write_atomically
from bioopzo.training.log import Log

CHECKPOINT_FORMAT = 1


def described_settings(chosen: Settings) -> dict[str, Any]:
    """The settings of the rate engine as JSON holds them, without the checkpoint's path."""
    found = asdict(replace(chosen, checkpoint=None, optimizer=None))
    optimizer = chosen.chosen_optimizer()
    found["optimizer"] = {"name": optimizer.name, "text": optimizer.text,
                          **dict(optimizer.parameters)}
    return {k: v for k, v in found.items() if k != "checkpoint"}


def checkpoint_identity(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint must agree with: model, task, settings, seed, length, package version.

    `meta` is that of the run.
    """
    return {"digest": meta["digest"], "task": meta["task"], "data": meta["task_digest"],
            "seed": meta["seed"], "settings": meta["settings"], "trials": meta["trials"],
            "split": meta["split"], "version": meta["versions"]["bioopzo"],
            "format": CHECKPOINT_FORMAT}


def write_checkpoint(path: Path | None, engine: Engine, log: Log, position: int,
                     identity: Mapping[str, Any]) -> None:
    """Write all that a run needs to go on after `position` batches; nothing without a path."""
    if path is None:
        return
    arrays = {f"weights/{k}": v for k, v in engine.weights.items()}
    arrays |= {f"moments/{k}": v for k, v in engine.moments.items()}
    arrays |= {f"shared/{k}": v for k, v in engine.shared.items()}
    arrays |= {f"state/{k}": v for k, v in engine.passes[True].state.items()
               if k not in engine.shared}
    if not engine.model.state_reset:  # then reading, too, goes on from where it was
        arrays |= {f"reading/{k}": v for k, v in engine.passes[False].state.items()
                   if k not in engine.shared}
    arrays |= {f"snapshots/{k}": np.array(v) for k, v in log.snapshots.items()}
    content = {"identity": identity, "position": position, "updates": engine.updates_done,
               "curve": log.curve, "trials": log.trials,
               "streams": {str(p): [_plain(s.bit_generator.state) for s in streams]
                           for p, streams in engine.streams.items()}}
    arrays["content"] = np.frombuffer(json.dumps(content).encode(), np.uint8)
    write_atomically(path, lambda file: np.savez(file, **arrays))


def checkpoint_path(path: str | PathLike) -> Path:
    """The path with the ending that the file has."""
    path = Path(path)
    return path if path.suffix == ".npz" else path.with_name(path.name + ".npz")


def _plain(state):
    """A generator's state in numbers that JSON keeps exactly."""
    if isinstance(state, dict):
        return {k: _plain(v) for k, v in state.items()}
    return [int(x) for x in state] if isinstance(state, np.ndarray) else \
        int(state) if isinstance(state, np.integer) else state


def _restored(state):
    return {k: _restored(v) if isinstance(v, dict) else
            np.array(v, np.uint64) if isinstance(v, list) else v for k, v in state.items()}


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
        kind: {} for kind in ("weights", "shared", "moments", "snapshots", "state", "reading")}
    for name, value in arrays.items():
        kind, _, key = name.partition("/")
        kinds[kind][key] = value
    for kind, places in (("weights", engine.weights), ("shared", engine.shared)):
        _same_names(kind, kinds[kind], places)
        for key, place in places.items():
            _put(place, kinds[kind][key], key)
    if content["updates"]:
        readout = f"{engine.model.network.forward[-1].name}.w"  # always changes
        for name in engine.optimizer.variables:
            if f"{readout}:{name}" not in kinds["moments"]:
                raise KeyError(f"moments/{readout}:{name}")
    engine.moments = kinds["moments"]
    if kinds["snapshots"]:
        _same_names("snapshots", kinds["snapshots"], engine.weights)
    log.snapshots = {key: list(value) for key, value in kinds["snapshots"].items()}
    for plastic, kind in ((True, "state"), (False, "reading")):
        engine.passes[plastic].take_up(kinds[kind])
    engine.updates_done, log.curve, log.trials = (content[k] for k in ("updates", "curve",
                                                                       "trials"))
    for plastic, streams in engine.streams.items():
        for stream, saved in zip(streams, content["streams"][str(plastic)], strict=True):
            stream.bit_generator.state = _restored(saved)
    return content["position"]


def _same_names(kind, found, places):
    for key in sorted(set(places) ^ set(found)):
        if key in places:
            raise KeyError(f"{kind}/{key}")
        raise ValueError(f"{kind}/{key} is unknown")


def _put(place, value, key):
    if value.shape != place.shape:
        raise ValueError(f"{key} has the shape {value.shape}, not {place.shape}")
    place[...] = value
