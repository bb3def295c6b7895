"""The parameters of all figures: NAME -> "full" and "quick", units in the names."""

RULES = ["opzo", "bp", "dfa", "dkp", "eprop", "reinforce", "node_perturbation", "readout_only"]

PARAMETERS = {
    "anatomy": {
        "full": {"trials": 600, "seed": 0, "layer": 2},
        "quick": {"trials": 300, "seed": 0, "layer": 2},
    },
    "learning_dynamics": {
        "full": {"rules": RULES, "seeds": 5, "trials": 4000, "evaluations": 10},
        "quick": {"rules": ["opzo", "bp", "dfa", "readout_only"], "seeds": 3, "trials": 600,
                  "evaluations": 3},
    },
    "escape_noise": {
        "full": {"membrane_range": [-0.5, 2.5], "points": 601, "sampled_points": 31,
                 "draws": 20000, "seeds": 5, "Delta": 0.2, "delta_z": 0.5, "rho0_hz": 500.0},
        "quick": {"membrane_range": [-0.5, 2.5], "points": 201, "sampled_points": 31,
                  "draws": 500, "seeds": 3, "Delta": 0.2, "delta_z": 0.5, "rho0_hz": 500.0},
    },
    "event_data": {
        "full": {"source": "simulated", "samples": 1000, "hidden": [100, 100], "trials": 2000,
                 "seed": 0, "shown": 0, "frames": [3, 6, 9, 13, 17, 25]},
        "quick": {"source": "simulated", "samples": 100, "hidden": [20, 20], "trials": 300,
                  "seed": 0, "shown": 0, "frames": [3, 6, 9, 13, 17, 25]},
    },
}
