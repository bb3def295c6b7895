"""The figures of a comparison: its learning curves, from the numbers that are kept."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from bioopzo import plots
from bioopzo.plots.styles import MOST_CURVES
from bioopzo.run import Run


def curves(content, **options):
    """Learning curves of all labels of a comparison, from its `content`; a figure.

    More than can be told apart in one panel are drawn by `plots.dynamics`, or, where all are of one
    rule, as points at the end. `options` are those of `plots.learning_curves`.
    """
    if len(content["rows"]) > MOST_CURVES:
        runs = {row["label"]: _runs(content, row) for row in content["rows"]}
        if plots.panels(list(runs)):
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

    Curves are means over seeds; how far seeds lie apart is in the last panel, at the end.
    """
    fig, (rewards, actions, ends) = plots.figure(width=plots.PAGE_CM, height=7.0, ncols=3)
    labels = list(content["curves"])
    for ax, key, scale, what in ((rewards, "loss", -1, "Held-out mean reward"),
                                 (actions, "accuracy", 100, "Best actions (%)")):
        lines = []
        for label, found in content["curves"].items():
            color, marker, name = plots.style(label, labels)
            lines += ax.plot(found["trials"], scale * np.mean(found[key], axis=0), color=color,
                             marker=marker, ms=3, mec="white", mew=0.4, clip_on=False, label=name)
        plots.dress(ax, "Training trials", what)
        ax.set_xlim(0, found["trials"][-1])
        ax.xaxis.set_major_locator(MaxNLocator(3))
    plots.label_ends(actions, [(line, line.get_label()) for line in lines])
    plots.note(rewards, f"Means of {len(content['rows'][0]['seeds'])} seeds")
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
    for ax, word in zip((rewards, actions, ends), "ABC"):
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
