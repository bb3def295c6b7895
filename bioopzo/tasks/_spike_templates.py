"""Frozen spike templates and noisy copies of them, for the tasks that live in spike times."""

import numpy as np

from bioopzo.errors import InputError


def draw_templates(rng: np.random.Generator, templates: int, inputs: int, count: int,
                   steps: int) -> np.ndarray:
    """Spike bins (templates, inputs, count): distinct within a neuron, sorted, int64.

    Every neuron fires exactly `count` times in every template; only the times differ.
    """
    bins = np.broadcast_to(np.arange(steps), (templates, inputs, steps))
    return np.sort(rng.permuted(bins, axis=-1)[..., :count], axis=-1)


def noisy_copies(
    where: str,
    rng: np.random.Generator,
    template_bins: np.ndarray,
    which: np.ndarray,
    steps: int,
    jitter: float,
    deletion: float,
) -> np.ndarray:
    """Spikes (samples, steps, inputs) uint8: one noisy copy of template `which[n]` each.

    Each spike moves by Gaussian jitter (standard deviation `jitter`, in steps), clipped into the
    trial. If two spikes of a neuron land in one bin, that neuron's jitter in that sample is drawn
    again: merging them instead would make the spike count depend on the template. Then each spike
    is deleted independently with probability `deletion`, so counts are binomial in every class.
    """
    bins = template_bins[which]  # (samples, inputs, count)
    samples, inputs, count = bins.shape
    moved = bins.reshape(-1, count).copy()
    original, redo = moved.copy(), np.arange(len(moved))
    for _ in range(1000):
        shift = np.rint(rng.normal(0, jitter, (len(redo), count))).astype(np.int64)
        moved[redo] = np.clip(original[redo] + shift, 0, steps - 1)
        clash = (np.diff(np.sort(moved[redo], axis=1), axis=1) == 0).any(axis=1)
        redo = redo[clash]
        if not len(redo):
            break
    else:
        raise InputError(
            f"{where}: {count} spikes per input with this jitter cannot be kept in separate time "
            f"steps of a trial of {steps} steps; lower spikes_per_input or jitter"
        )
    kept = rng.random(moved.shape) >= deletion
    row, _ = np.nonzero(kept)
    spikes = np.zeros((samples, steps, inputs), np.uint8)
    spikes[row // inputs, moved[kept], row % inputs] = 1
    return spikes
