"""The figures of a comparison: its learning curves, from the numbers that are kept."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from bioopzo import plots
from bioopzo.plots.styles import MOST_CURVES
from bioopzo.run import Run


def curves(content, **options):
    """Learning curves of all labels of a comparison, from its `content`; a figure.

    More than can be told apart in one panel are drawn by `plots.dynamics`, or, where all are of one
    rule or nothing was shown between start and end, as points at the end. `options` are those of
    `plots.learning_curves`.
    """
    if len(content["rows"]) > MOST_CURVES:
        runs = {row["label"]: _runs(content, row) for row in content["rows"]}
        shown = max(len(found["trials"]) for found in content["curves"].values())
        if plots.panels(list(runs)) and shown > 2:
            return plots.dynamics(runs, **options)
        fig, ax = plots.figure(width=12.0, height=1.8 + 0.65 * len(runs))
        plots.final_accuracy(runs, ax)
        return fig
    fig, ax = plots.figure(width=12.0, height=8.0)
    plots.learning_curves({row["label"]: _runs(content, row) for row in content["rows"]}, ax,
                          **options)
    return fig


@plots.styled
def reward_curves(content):
    """Mean reward and best actions of all labels of a comparison, from its `content`; a figure.

    Curves of the reward are means over seeds, in a panel for each kind of rule (`plots.panels`);
    the last panel has the best actions at the end, and how far seeds lie apart.
    """
    labels = list(content["curves"])
    groups = plots.panels(labels)
    fig, (*curved, ends) = plots.figure(width=plots.PAGE_CM, height=7.0, ncols=len(groups) + 1)
    for ax, group in zip(curved, groups):
        lines = []
        for label in group:
            found, (color, marker, name) = content["curves"][label], plots.style(label, labels)
            lines += ax.plot(found["trials"], -np.mean(found["loss"], axis=0), color=color,
                             marker=marker, ms=3, mec="white", mew=0.4, clip_on=False, label=name)
        plots.dress(ax, "Training trials", "Held-out mean reward")
        ax.set_xlim(0, found["trials"][-1])
        ax.sharey(curved[0])
        ax.xaxis.set_major_locator(MaxNLocator(3))
        plots.label_ends(ax, [(line, line.get_label()) for line in lines])
    plots.note(curved[0], f"Means of {len(content['rows'][0]['seeds'])} seeds")
    for place, row in enumerate(sorted(content["rows"], key=lambda r: -r["mean"])):
        color, marker, _ = plots.style(row["label"], labels)
        plots.dots(ends, 100 * np.array(row["scores"]), place, color, marker, "y",
                   within=(0, 100))
    ends.set_xticks(range(len(labels)), [plots.style(row["label"], labels)[2] for row in sorted(
        content["rows"], key=lambda r: -r["mean"])], rotation=40, ha="right",
        rotation_mode="anchor")
    ends.set_ylim(top=min(100, ends.get_ylim()[1]))
    plots.dress(ends, "", "Best actions at the end (%)")
    plots.note(ends, "Points: seeds; bars: mean,\n95 % interval")
    for ax, word in zip((*curved, ends), "ABC"):
        plots.letter(ax, word)
    return fig


def _runs(content, row):
    """The runs of a label, with what there is to draw in them."""
    found = content["curves"][row["label"]]
    meta = {"rule": row["rule"], "task": content["task"],
            "sizes": content.get("sizes", {}).get(row["label"])}
    accurate = row["measure"] == "test_accuracy"
    return [Run({f"curve/{key}": np.array(values) for key, values in
                 (("trials", found["trials"]), ("accuracy", accuracy), ("loss", loss),
                  ("held_out", found.get("held_out", [])))},
                meta={**meta, "seed": seed, "test_accuracy": score if accurate else None,
                      "test_loss": None if accurate else score})
            for seed, accuracy, loss, score in zip(row["seeds"], found["accuracy"], found["loss"],
                                                   row["scores"])]
