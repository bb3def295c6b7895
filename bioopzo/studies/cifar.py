"""What ``bioopzo results cifar10`` runs, and the paper's other tables; see docs/results/cifar10.md.

Every choice was made with seed 2000 on 3,000 validation images, after one pass over 27,000 others.
"""

FEW = {"samples": 256, "validation": 64}
KINDS = ("rademacher", "gaussian")
#: Of every model: no dropout. Local learning (LL): each hidden layer has a readout of its own.
PLAIN: dict[str, object] = {"dropout": 0.0}
LOCAL: dict[str, object] = {"dropout": 0.0, "local": True}
MODELS: dict[str, dict] = {
    "bp": PLAIN, "opzo": PLAIN, "opzo, LL": LOCAL, "dfa": PLAIN, "dfa, LL": LOCAL, "dkp": PLAIN,
    "node_perturbation, ZO": {**PLAIN, "baseline": False}, "readout_only": PLAIN,
}
#: Images are halved before the first layer. Two steps pass before the noise begins, so that the
#: readout has left its start; a hold of four steps lets the noise come through three layers.
SETTING = {
    "task": "cifar10",
    "task_options": {"partial": True, "validation": 3000, "steps": 10, "warmup": 4},
    "network": "3x32x32-AP2-16C3-AP2-32C3-AP2-64C3-AP2-10",
    "regime": {"T_z_ms": 4.0, "T_w_ms": 2.0, "mu": 50.0},
    "common": {"batch": 64, "rate": 0.03}, "settings": {"node_perturbation, ZO": {"rate": 0.01}},
    "first_seed": 1000, "epochs": 1,
    "quick": FEW,
}

#: Table 2 of the paper: kind and place of OPZO's noise, and the momentum form of its feedback rule.
NOISE: dict[str, dict] = {
    **{f"opzo, {kind} after": {**PLAIN, "distribution": kind} for kind in KINDS},
    **{f"opzo, {kind} before": {**PLAIN, "distribution": kind, "place": "before",
                                "alpha_hz": 100.0} for kind in KINDS},
    "opzo, momentum": {**PLAIN, "form": "momentum", "n_M": 300.0},
}
#: Table 3: nine layers, an eighth of the paper's channels, images quartered. Trials and holds are
#: long enough for a spike, and a perturbation, to come through all layers.
MIDDLE: dict[str, object] = {**LOCAL, "intermediate": 4}
DEEP: dict[str, dict] = {
    "bp": PLAIN, "opzo, LL": LOCAL, "opzo, LL and IGL": MIDDLE, "dfa, LL": LOCAL,
    "dfa, LL and IGL": MIDDLE, "readout_only": PLAIN,
}
DEEP_SETTING = {
    **SETTING, "settings": {},
    "task_options": {"partial": True, "validation": 3000, "samples": 12800, "steps": 20,
                     "warmup": 8},
    "network": "3x32x32-AP4-8C3-16C3-AP2-32C3-32C3-AP2-64C3-64C3-AP2-64C3-64C3-10",
    "regime": {"T_z_ms": 8.0, "T_w_ms": 2.0, "mu": 50.0},
}
#: Table 4, in the network of `SETTING`.
HARDWARE = {
    **{name: SETTING[name] for name in ("task", "task_options", "network", "regime", "common",
                                        "epochs", "first_seed")},
    "noise": [0.1, 0.15], "trials": 6400, "rates": [0.0003, 0.001, 0.003], "search_seed": 2000,
    "seeds": 3, "models": {
        "bp": {}, "dfa": {}, "node_perturbation, ZO": {"baseline": False}, "opzo": {},
        "readout_only": {}},
}
#: The paper's own five layers, for a few batches.
PAPERS = {
    **SETTING, "settings": {},
    "task_options": {"partial": True, "validation": 3000, "steps": 12, "warmup": 4},
    "network": "3x32x32-128C3-AP2-256C3-AP2-512C3-AP2-512C3-10",
    "regime": {"T_z_ms": 5.0, "T_w_ms": 2.0, "mu": 50.0},
    "common": {"batch": 32, "rate": 0.01}, "trials": 1280,
    "evaluations": [128, 256, 384, 512, 768, 1024, 1280], "held_out": 128,
    "batches": {"angle": 4, "alignment": 40}, "measure": "angle",
    "quick": FEW,
}
