"""Simulated against real N-MNIST, recordings of the same digits, image by image.

Real recordings of any part of N-MNIST, and simulations of the same images; recordings that were
looked at while the simulator was made, and silent ones, are left out. Parameters: `seed` of the
simulations, `most` recordings of each split, `bin_ms` and `end_ms` of the mean rate in time.
"""

import numpy as np

from bioopzo.datasets import files, recordings, simulated_nmnist
from bioopzo.errors import InputError


def compute(parameters, jobs, progress):
    """The comparison with these `parameters`: a row per quantity, of both and of each.

    `jobs` and `progress` are those of every script. Raises `InputError` where MNIST is missing or
    fewer than two recordings are left.
    """
    p = parameters
    event_set = recordings.EVENT_SETS["nmnist"]
    folder = recordings.find(event_set)
    found = recordings.listing(event_set, folder, partial=True)
    images = files.load("mnist")
    bins = np.arange(0, 1000 * p["end_ms"] + 1, 1000 * p["bin_ms"])
    real, simulated = [], []
    for split, offset, pixels, left_out in (
            ("train", 1, images[0], set(simulated_nmnist.seen())), ("test", 60001, images[2], ())):
        chosen = [r for r in found[split] if int(r.path.stem) - offset not in left_out][:p["most"]]
        numbers = [int(r.path.stem) - offset for r in chosen]
        for events, made in zip(
                recordings.events_of(event_set, folder, chosen, split),
                simulated_nmnist.recordings(pixels[numbers], seed=p["seed"])):
            if len(events):
                real.append(_described(events, bins))
                simulated.append(_described(made, bins))
    if len(real) < 2:
        raise InputError(f"{folder} holds {len(real)} recordings to compare with (others are "
                         "silent, or were looked at while the simulator was made); it takes two")
    return {
        "recordings": len(real), "left_out": sum(map(len, found.values())) - len(real),
        "simulator": simulated_nmnist.CONSTANTS,
        "simulated_against_real": _rows(real, simulated),
        "rate": {"bin_ms": p["bin_ms"],
                 **{name: np.mean([d["rate"] for d in described], axis=0).round(3)
                    for name, described in (("real", real), ("simulated", simulated))}}}


def _described(events, bins):
    """Numbers of one recording: events, share of p = 1, events in time, where they fall."""
    side = simulated_nmnist.SIDE
    cells = ((np.minimum(events["t"] // simulated_nmnist.SACCADE_US, 2) * 2 + events["p"]) * side
             + events["y"]) * side + events["x"]
    return {"events": len(events), "share": float(np.mean(events["p"])),
            "rate": np.histogram(events["t"], bins)[0],
            "map": np.bincount(cells, minlength=6 * side * side)}


def _rows(real, simulated):
    """[quantity, of recordings, of simulations]; a quantity of both has one number."""
    def both(name, function, digits):
        return [name, *(round(float(function(d)), digits) for d in (real, simulated))]

    def column(described, key):
        return np.array([d[key] for d in described])

    rates = [column(d, "rate").mean(axis=0) for d in (real, simulated)]
    numbers = [column(d, "events") for d in (real, simulated)]
    maps = [np.corrcoef(a["map"], b["map"])[0, 1] for a, b in zip(real, simulated)]
    return [
        both("events per recording, mean", lambda d: column(d, "events").mean(), 0),
        both("events per recording, sd over recordings", lambda d: column(d, "events").std(), 0),
        both("share of events that are darkening (p = 1)", lambda d: column(d, "share").mean(), 3),
        ["events per recording, correlation over digits",
         round(float(np.corrcoef(*numbers)[0, 1]), 3)],
        ["mean rate in bins of 10 ms, correlation", round(float(np.corrcoef(*rates)[0, 1]), 3)],
        ["where events fall (pixel, polarity, saccade), correlation, mean over digits",
         round(float(np.mean(maps)), 3)],
    ]


def table(content, view=""):
    """The table of a comparison with this `content`; there is but one `view`."""
    lines = ["| quantity | recorded | simulated |", "|---|---|---|"]
    for name, *values in content["simulated_against_real"]:
        shown = [f"{v:.0f}" if v > 10 else f"{v:.3f}" for v in values]
        lines.append(f"| {name} | {shown[0]} | {shown[-1] if len(shown) > 1 else ''} |")
    return "\n".join(lines)
