"""What it costs to record one row of a weight matrix in every one of 2,000 training trials.

In CPU time, this process and its children, in turns with training that records nothing. A row of
the feedback weights is read where training is; of forward weights in their event-driven form the
value in force is read of the dense form beside it, a second run of every recorded trial, which is
shown and has no limit.
"""

import statistics

from test_spiking_speed import cpu_seconds

import bioopzo as bz

TRIALS, ROUNDS, MOST = 2000, 5, 1.3
ROWS = {"nothing": None, "feedback": "feedback_1.M[0, :]", "forward": "forward_1.w[0, :]"}


def test_a_recorded_row_costs_little(figures):
    task = bz.tasks.digits()
    model = bz.Model([task.n_in, *task.hidden, task.n_out])
    spent = {name: [] for name in ROWS}
    for turn in range(ROUNDS + 1):
        for name, row in ROWS.items():
            asked = {} if row is None else {"record": [row], "record_trials": range(TRIALS)}
            cost, _ = cpu_seconds(lambda asked=asked: bz.train(
                model, task, trials=TRIALS, seed=1, progress=False, **asked))
            if turn:  # the first compiles
                spent[name].append(float(cost.sum()))
    middle = {name: statistics.median(values) for name, values in spent.items()}
    ratios = {name: middle[name] / middle["nothing"] for name in ROWS}
    print("\n" + "\n".join(f"{name}: {middle[name]:.2f} s, {ratios[name]:.2f}" for name in ROWS))
    figures["record_cost"] = {"seconds": middle, "ratios": ratios}
    assert ratios["feedback"] <= MOST
