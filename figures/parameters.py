"""The parameters of all figures: NAME -> "full" and "quick", units in the names."""

#: Which rules; their order in figures is that of `plots.RULE_STYLE`.
RULES = ["opzo", "bp", "dfa", "dkp", "eprop", "reinforce", "node_perturbation", "readout_only"]
# Rates of the figure `accuracy`: the best on the validation split, for every rule and data set by
# itself, of 0.0003 (digits), 0.001, 0.003, 0.01, 0.03, and 0.1 where 0.03 was best (0.006 for rules
# that fail at 0.01); digits 20 epochs, seeds 100 to 102, Yin-Yang 5 epochs, seeds 100 and 101. With
# them: OPZO's alpha 100, 200, 400 Hz (with mu 10, and 100 with mu 3); node perturbation's alpha 50,
# 200, 400 Hz; REINFORCE's rho0 1, 3, 6 kHz with Delta 0.1, 0.25 and tau_e 3, 10, 30 ms.
DIGITS_RATES = {
    "bp": {"rate": 0.03}, "opzo": {"rate": 0.01, "alpha_hz": 100.0, "mu": 3.0},
    "dkp": {"rate": 0.03}, "dfa": {"rate": 0.03}, "eprop": {"rate": 0.03},
    "reinforce": {"rate": 0.003, "rho0_hz": 3000.0, "Delta": 0.1},
    "node_perturbation": {"rate": 0.006, "alpha_hz": 200.0}, "readout_only": {"rate": 0.1},
}
YIN_YANG_RATES = {
    "bp": {"rate": 0.01}, "opzo": {"rate": 0.01, "alpha_hz": 100.0, "mu": 3.0},
    "dkp": {"rate": 0.03}, "dfa": {"rate": 0.03}, "eprop": {"rate": 0.03},
    "reinforce": {"rate": 0.003, "rho0_hz": 6000.0, "Delta": 0.1},
    "node_perturbation": {"rate": 0.01, "alpha_hz": 200.0}, "readout_only": {"rate": 0.1},
}

# Rates of the figure `robustness`: the best after 5 epochs on the validation split, seeds 100 and
# 101, of 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, for every rule and fault; with them, OPZO's
# alpha 100, 200, 400 Hz and mu 3, 10. "faults" says how large each is.
ROBUSTNESS_RATES = {
    "membrane": {
        "bp": {"rate": 0.03}, "opzo": {"rate": 0.03, "alpha_hz": 200.0, "mu": 3.0},
        "dkp": {"rate": 0.03}, "dfa": {"rate": 0.03},
        "node_perturbation": {"rate": 0.003, "alpha_hz": 200.0}, "readout_only": {"rate": 0.01}},
    "weights": {
        "bp": {"rate": 0.01}, "opzo": {"rate": 0.01, "alpha_hz": 200.0, "mu": 10.0},
        "dkp": {"rate": 0.03}, "dfa": {"rate": 0.03},
        "node_perturbation": {"rate": 0.003, "alpha_hz": 200.0}, "readout_only": {"rate": 0.03}},
    "silent": {
        "bp": {"rate": 0.03}, "opzo": {"rate": 0.01, "alpha_hz": 400.0, "mu": 10.0},
        "dkp": {"rate": 0.03}, "dfa": {"rate": 0.03},
        "node_perturbation": {"rate": 0.003, "alpha_hz": 200.0}, "readout_only": {"rate": 0.03}},
}

BPTT_NETWORKS = {
    "digits": {"task": "digits", "hidden": [32, 32], "recurrent": False, "b": 0.5,
               "onto": ["forward_1", "forward_2"]},
    # Quiet (b = 0), as a recurrent network has to be; its rates follow from the trials.
    "temporal patterns": {"task": "temporal_patterns", "hidden": [40], "recurrent": True, "b": 0.0,
                          "onto": ["forward_1", "recurrent_1"]},
}

PARAMETERS = {
    "anatomy": {
        "full": {"trials": 600, "seed": 0, "layer": 2},
        "quick": {"trials": 300, "seed": 0, "layer": 2},
    },
    "learning_dynamics": {
        "full": {"rules": RULES},
        "quick": {"rules": ["opzo", "bp", "dfa", "readout_only"]},
    },
    "escape_noise": {
        "full": {"membrane_range": [-0.5, 2.5], "points": 601, "sampled_points": 31,
                 "draws": 20000, "seeds": 5, "Delta": 0.2, "delta_z": 0.5, "rho0_hz": 500.0},
        "quick": {"membrane_range": [-0.5, 2.5], "points": 201, "sampled_points": 31,
                  "draws": 500, "seeds": 3, "Delta": 0.2, "delta_z": 0.5, "rho0_hz": 500.0},
    },
    "neurons": {
        "full": {"step_ms": 200, "spike_ms": 60, "current": 1.2, "weight": 0.2, "seed": 1},
        "quick": {"step_ms": 80, "spike_ms": 40, "current": 1.2, "weight": 0.2, "seed": 1},
    },
    "event_data": {
        "full": {"source": "simulated", "samples": 1000, "hidden": [100, 100], "trials": 2000,
                 "seed": 0, "shown": 0, "frames": [3, 5, 6, 13, 16, 25]},
        "quick": {"source": "simulated", "samples": 100, "hidden": [20, 20], "trials": 300,
                  "seed": 0, "shown": 0, "frames": [3, 5, 6, 13, 16, 25]},
    },
    # Digits in the papers' discrete setting. alpha and mu (step of least mean squares) from the
    # validation split, 20 epochs, 2 or 3 seeds from 100 on, of alpha 50, 100, 200, 400, 800 Hz, mu
    # 1, 3, 10, 30 and rates 0.003, 0.01, 0.03, each place by itself; the rate came out as 0.01.
    "noise_kind_and_place": {
        "full": {"hidden": [100, 100], "first_seed": 1000, "seeds": 5, "epochs": 20,
                 "evaluations": 8, "batch": 32, "rate": 0.01, "mu": 3.0, "n_M": 300.0,
                 "falling_alpha_hz": 200.0,
                 "alpha_hz": {"after": 100.0, "before": 800.0, "before, psi": 400.0},
                 "alpha_final": 0.01, "jacobian_batches": 100},
        "quick": {"hidden": [100, 100], "first_seed": 1000, "seeds": 3, "epochs": 6,
                  "evaluations": 2, "batch": 32, "rate": 0.01, "mu": 3.0, "n_M": 300.0,
                  "falling_alpha_hz": 200.0,
                  "alpha_hz": {"after": 100.0, "before": 800.0, "before, psi": 400.0},
                  "alpha_final": 0.01, "jacobian_batches": 15},
    },
    # Points are indices into the learning curve of `evaluations` + 1 points.
    "feedback_alignment": {
        "full": {"rules": ["opzo", "dfa", "dkp", "eprop", "reinforce", "node_perturbation"],
                 "seeds": 5, "trials": 4000, "evaluations": 8, "points": [0, 1, 2, 4, 8],
                 "batch": 256, "jacobian_batches": 25, "update_batches": 6},
        "quick": {"rules": ["opzo", "dfa"], "seeds": 3, "trials": 600, "evaluations": 2,
                  "points": [0, 1, 2], "batch": 128, "jacobian_batches": 8, "update_batches": 2},
    },
    "angle_to_bptt": {
        "full": {"rules": ["opzo", "bp", "dfa", "dkp", "eprop", "reinforce", "node_perturbation"],
                 "networks": BPTT_NETWORKS, "seeds": 5, "trials": 4000, "evaluations": 4,
                 "batch": 128, "batches": 4},
        "quick": {"rules": ["opzo", "bp"], "networks": BPTT_NETWORKS, "seeds": 3, "trials": 400,
                  "evaluations": 1, "batch": 32, "batches": 1},
    },
    "gradient_variance": {
        "full": {"estimates": ["opzo", "dfa", "dkp", "eprop", "reinforce", "node_perturbation",
                               "node_perturbation, two-point"],
                 "seeds": 5, "trials": 4000, "batch": 32, "batches": 100},
        "quick": {"estimates": ["opzo", "dfa", "node_perturbation"], "seeds": 3, "trials": 600,
                  "batch": 16, "batches": 10},
    },
    # The first delay is 0; the others are the mean of a chain of `stages` filters, so at least
    # `stages` time steps of 1 ms.
    "error_delay": {
        "full": {"rules": ["opzo", "bp", "dfa", "eprop", "readout_only"],
                 "delays_ms": [0, 10, 20, 40, 60], "stages": 4, "seeds": 3, "trials": 4000,
                 "eta_o_hz": 0.75},
        "quick": {"rules": ["opzo", "readout_only"], "delays_ms": [0, 20, 60], "stages": 4,
                  "seeds": 3, "trials": 600, "eta_o_hz": 0.75},
    },
    "accuracy": {
        "full": {"hidden": [100, 100], "seeds": 5, "batch": 32, "sets": {
            "digits": {"epochs": 20, "regime": {}, "rules": DIGITS_RATES},
            "yin_yang": {"epochs": 5, "regime": {"input_gain": 2.0}, "rules": YIN_YANG_RATES}}},
        "quick": {"hidden": [100, 100], "seeds": 3, "batch": 32, "sets": {
            "digits": {"epochs": 5, "regime": {}, "rules": DIGITS_RATES},
            "yin_yang": {"epochs": 1, "regime": {"input_gain": 2.0}, "rules": YIN_YANG_RATES}}},
    },
    "rates_and_operations": {
        "full": {"hidden": [100, 100], "seeds": 5, "batch": 32, "epochs": 20,
                 "rules": DIGITS_RATES},
        "quick": {"hidden": [100, 100], "seeds": 3, "batch": 32, "epochs": 5,
                  "rules": DIGITS_RATES},
    },
    "cost": {
        "full": {"widths": [50, 100, 200, 400, 800], "depths": [1, 2, 3], "width": 200,
                 "batch": 128, "rounds": 25, "seed": 0},
        "quick": {"widths": [50, 100, 200, 400], "depths": [1, 2, 3], "width": 100,
                  "batch": 128, "rounds": 7, "seed": 0},
    },
    # Blocks of trials that the spiking engine averages, over a few images; repeats of every image
    # in the rate engine.
    "spiking_and_rate_updates": {
        "full": {"rules": ["bp", "dfa", "opzo"], "seeds": 5, "epochs": 3, "rate": 0.01, "batch": 16,
                 "layer": 2, "images": 20, "blocks": [16, 48, 192, 768, 3072], "repeats": 500,
                 "compiled": True, "Deltas": [0.1, 0.2, 0.5, 1.0]},
        "quick": {"rules": ["bp", "opzo"], "seeds": 3, "epochs": 1, "rate": 0.01, "batch": 16,
                  "layer": 2, "images": 4, "blocks": [8, 40], "repeats": 100,
                  "compiled": False, "Deltas": [0.1, 1.0]},
    },
    "robustness": {
        "full": {"hidden": [100, 100], "seeds": 5, "batch": 32, "training_rate": 0.01,
                 "training_epochs": 20, "epochs": 5, "evaluations": 10, "readings": 5,
                 "faults": {"membrane": 1.0, "weights": 0.8, "silent": 0.5},
                 "rules": ROBUSTNESS_RATES},
        "quick": {"hidden": [100, 100], "seeds": 3, "batch": 32, "training_rate": 0.01,
                  "training_epochs": 5, "epochs": 2, "evaluations": 4, "readings": 1,
                  "faults": {"membrane": 1.0, "weights": 0.8, "silent": 0.5},
                  "rules": ROBUSTNESS_RATES},
    },
}
