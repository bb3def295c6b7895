"""What ``bioopzo results cifar10`` runs; see docs/results/cifar10.md.

Every choice was made with seed 2000 on 3,000 validation images, after one pass over 27,000 others.
"""

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
    "quick": {"samples": 256, "validation": 64},
}
