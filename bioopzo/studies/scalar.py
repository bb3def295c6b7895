"""What ``bioopzo results digits_scalar`` runs: one number a trial as the only teacher."""

#: Rates are the best on the validation split with seeds 100 to 102: of AdamW as in the figure
#: `accuracy`; of momentum 1, 3, 10, 30 for the readout alone, and with 10 and 30 an eta of .001,
#: .01, .03 and .1 Hz for hidden layers.
STEP = {"optimizer": "momentum", "rate": 30.0}
NOISY = {"dropout": 0.0, "rho0_hz": 3000.0, "Delta": 0.1}
QUIET = {"dropout": 0.0}
TRIED: dict[str, tuple[dict, dict]] = {
    "readout_only": (QUIET, STEP),
    "node_perturbation": ({**QUIET, "eta_hz": 0.01}, STEP),
    "node_perturbation, two-point": ({**QUIET, "eta_hz": 0.01, "points": "two"}, STEP),
    "node_perturbation, hidden layers fixed": ({**QUIET, "eta_hz": 0.0}, STEP),
    "reinforce": ({**NOISY, "eta_hz": 0.01}, {**STEP, "activity": "spikes"}),
    "readout_only, spikes": (NOISY, {**STEP, "activity": "spikes"}),
    "readout_only, AdamW": (QUIET, {"rate": 0.1}),
    "node_perturbation, AdamW": (QUIET, {"rate": 0.006}),
    "reinforce, AdamW": (NOISY, {"rate": 0.003, "activity": "spikes"}),
}
SETTING: dict[str, object] = {
    "models": {label: model for label, (model, _) in TRIED.items()}, "task": "digits",
    "task_options": {}, "discrete": True, "hidden": [100, 100],
    "common": {"batch": 32}, "settings": {label: own for label, (_, own) in TRIED.items()},
    "epochs": 20, "seeds": 5, "quick": {},
}
