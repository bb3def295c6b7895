"""The figure of a comparison: its learning curves, from the numbers that are kept."""

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
