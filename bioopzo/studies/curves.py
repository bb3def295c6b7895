"""The figures of a comparison: its learning curves, from the numbers that are kept."""

import numpy as np

from bioopzo import plots
from bioopzo.run import Run


def curves(content, **options):
    """Learning curves of all labels of a comparison, from its `content`; a figure.

    `options` are those of `plots.learning_curves`.
    """
    fig, ax = plots.figure(width=12.0, height=8.0)
    plots.learning_curves({row["label"]: _runs(content, row) for row in content["rows"]}, ax,
                          **options)
    return fig


@plots.styled
def reward_curves(content):
    """Mean reward and best actions of all labels of a comparison, from its `content`; a figure."""
    fig, panels = plots.figure(width=plots.PAGE_CM, height=7.0, ncols=2)
    chance = 100 / next(iter(content["sizes"].values()))[-1]
    for ax, key, scale, what, word in ((panels[0], "loss", -1, "Held-out mean reward", "A"),
                                       (panels[1], "accuracy", 100, "Best actions (%)", "B")):
        ends = []
        for label, found in content["curves"].items():
            line = plots.band(ax, found["trials"], scale * np.array(found[key]), label,
                              list(content["curves"]), ms=2.5)
            ends.append((line, line.get_label()))
        plots.dress(ax, "Training trials", what)
        plots.letter(ax, word)
        ax.set_xlim(0, found["trials"][-1])
        if key == "accuracy":
            ax.set_ylim(min(chance, ax.get_ylim()[0]), 100)
        plots.label_ends(ax, ends)
    seeds = len(content["rows"][0]["seeds"])
    plots.note(panels[0], f"Mean, 95 % interval, {seeds} seeds" if seeds > 1 else "One seed")
    return fig


def _runs(content, row):
    """The runs of a label, with what there is to draw in them."""
    found = content["curves"][row["label"]]
    meta = {"rule": row["rule"], "task": content["task"],
            "sizes": content.get("sizes", {}).get(row["label"])}
    return [Run({f"curve/{key}": np.array(values) for key, values in
                 (("trials", found["trials"]), ("accuracy", accuracy), ("loss", loss),
                  ("held_out", found.get("held_out", [])))},
                meta={**meta, "seed": seed})
            for seed, accuracy, loss in zip(row["seeds"], found["accuracy"], found["loss"])]
