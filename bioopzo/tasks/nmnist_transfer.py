"""Trained on simulated N-MNIST, tested on real recordings."""

import numpy as np
from brian2.units.fundamentalunits import Quantity

from bioopzo.arguments import choice, whole
from bioopzo.datasets import files, recordings, simulated_nmnist
from bioopzo.datasets.events import joined
from bioopzo.datasets.recordings import EVENT_SETS
from bioopzo.errors import InputError
from bioopzo.tasks._event_task import assembled, presentation, read, shares
from bioopzo.tasks.nmnist import FORMS, simulation
from bioopzo.tasks.trials import Task


def nmnist_transfer(
    engine: str = "rate",
    data: str | None = None,
    real: str = "all",
    samples: int = 10000,
    validation: int = 1000,
    steps: int | None = None,
    dt: Quantity | None = None,
    warmup: int | None = None,
    crop: int | None = None,
    size: int | None = None,
    polarities: str = "separate",
    counts: bool | None = None,
    seed: int = 0,
) -> Task:
    """Learn from simulated N-MNIST only, be tested on real recordings (needs N-MNIST and MNIST).

    option | default | meaning
    ------ | ------- | -------
    real | 'all' | which recordings of the folder are the test: 'all', 'test' (those in Test), or
        'unseen' (all but those that were looked at while the simulator was made)
    samples, validation | 10000, 1000 | numbers of simulated recordings to train and to choose with
    engine, data, steps, dt, warmup, crop, size, polarities, counts, seed | as `tasks.nmnist`; the
        engine is 'rate' unless given

    No image whose recording is in the test is simulated for training. The folder may hold any part
    of N-MNIST. Raises `InputError` as `tasks.nmnist` does, and where real='all' leaves too few
    images: then the folder holds most of N-MNIST, and real='test' is what is wanted.
    """
    name, event_set = "nmnist_transfer", EVENT_SETS["nmnist"]
    shown = presentation(name, event_set, FORMS, engine, steps, dt, warmup, crop, size, polarities,
                         counts)
    splits = ("test",) if choice(name, "real", real, ("all", "test", "unseen")) == "test" \
        else ("train", "test")
    folder = recordings.find(event_set, data)
    found = recordings.listing(event_set, folder, partial=True)
    # The number in a recording's name is that of its image, counted from 1.
    left_out = set(simulated_nmnist.seen()) if real == "unseen" else ()
    tested = [(split, recording) for split in splits for recording in found[split]
              if split == "test" or int(recording.path.stem) - 1 not in left_out]
    if not tested:
        raise InputError(f"{name}: {folder} holds no recordings for real={real!r}; use real='all'")
    images, labels, _, _ = files.load("mnist", data)
    taken = {int(r.path.stem) - 1 for split, r in tested if split == "train"}
    free = [k for k in range(len(images)) if k not in taken]
    train, held = shares(name, free, whole(name, "samples", samples), validation)
    seed = whole(name, "seed", seed, least=0)
    parts = [simulation(shown.grid, images, chosen, "nmnist_simulated, train", seed)
             for chosen in (train, held) if chosen]
    parts.append(read(shown, event_set, folder, tested))
    everything = np.concatenate([labels[train], labels[held], [r.label for _, r in tested]])
    return assembled(
        shown, joined(parts), everything.astype(np.int64),
        {"train": len(train), "validation": len(held), "test": len(tested)},
        f"Trained on SIMULATED N-MNIST; the test is {len(tested)} real recordings.")
