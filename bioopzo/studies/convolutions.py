"""The paper's other tables for convolutions, for one core; see docs/results/convolutions.md.

Settings stand by themselves, so that `cifar10` may get others; what they share with it was chosen
for one pass. Choices of these studies were made with seed 2000 on 3,000
validation images, after one pass over 12,800 others.
"""

from bioopzo.studies.cifar import LOCAL, PLAIN

KINDS = ("rademacher", "gaussian")
#: A part of the data: the final runs train on the validation images, too, 15,800 in all.
PART: dict[str, object] = {"partial": True, "validation": 3000, "samples": 12800, "steps": 10,
                           "warmup": 4}
FEW: dict[str, object] = {"samples": 256, "validation": 64}
#: One pass of the network of `cifar10`, with its settings for one pass.
PASS: dict[str, object] = {
    "task": "cifar10", "task_options": PART,
    "network": "3x32x32-AP2-16C3-AP2-32C3-AP2-64C3-AP2-10",
    "regime": {"T_z_ms": 4.0, "T_w_ms": 2.0, "mu": 50.0}, "common": {"batch": 64, "rate": 0.03},
    "first_seed": 1000, "epochs": 1,
}
#: Table 2: kind and place of OPZO's noise; and the momentum form of its feedback rule.
NOISE: dict[str, dict] = {
    **{f"opzo, {kind} after": {**PLAIN, "distribution": kind} for kind in KINDS},
    **{f"opzo, {kind} before": {**PLAIN, "distribution": kind, "place": "before",
                                "alpha_hz": 100.0} for kind in KINDS},
    "opzo, momentum": {**PLAIN, "form": "momentum"},
}
NOISE_SETTING: dict[str, object] = {**PASS, "seeds": 5, "quick": FEW, "published": {
    "opzo, rademacher after": 85.69, "opzo, gaussian after": 85.73,
    "opzo, rademacher before": 84.03, "opzo, gaussian before": 84.37}}
#: Table 3: nine layers, an eighth of the paper's channels. Trials and holds are long enough for a
#: spike, and a perturbation, to come through all layers, whose noise adds up: it is less.
MIDDLE: dict[str, object] = {**LOCAL, "intermediate": 4}
LESS = {"alpha_hz": 50.0}
DEEP: dict[str, dict] = {
    "bp": PLAIN, "opzo, LL": {**LOCAL, **LESS}, "opzo, LL and IGL": {**MIDDLE, **LESS},
    "dfa, LL": LOCAL, "dfa, LL and IGL": MIDDLE, "readout_only": PLAIN,
}
DEEP_SETTING: dict[str, object] = {
    **PASS, "task_options": {**PART, "steps": 20, "warmup": 8},
    "network": "3x32x32-AP4-8C3-16C3-AP2-32C3-32C3-AP2-64C3-64C3-AP2-64C3-64C3-10",
    "regime": {"T_z_ms": 8.0, "T_w_ms": 2.0, "mu": 50.0}, "common": {"batch": 64, "rate": 0.01},
    "seeds": 5, "quick": FEW,
}
#: Table 4, with a noise beside the paper's that this network feels.
HARDWARE: dict[str, object] = {
    **PASS, "noise": [0.1, 0.15, 0.5], "trials": 3200, "rates": [0.001, 0.003], "search_seed": 2000,
    "seeds": 3, "models": {"bp": {}, "dfa": {}, "node_perturbation, ZO": {"baseline": False},
                           "opzo": {}, "readout_only": {}},
}
QUICK_HARDWARE: dict[str, object] = {
    **HARDWARE, "task_options": {**PART, **FEW}, "models": {"bp": {}, "opzo": {}}, "trials": 64,
    "seeds": 2}
#: The paper's own five layers, for a few batches.
WIDE: dict[str, object] = {
    **PASS, "task_options": {"partial": True, "validation": 3000, "steps": 12, "warmup": 4},
    "network": "3x32x32-128C3-AP2-256C3-AP2-512C3-AP2-512C3-10",
    "regime": {"T_z_ms": 5.0, "T_w_ms": 2.0, "mu": 50.0}, "common": {"batch": 32, "rate": 0.001},
    "trials": 384, "evaluations": [96, 192, 288, 384], "held_out": 64,
    "batches": {"angle": 2, "alignment": 16}, "measure": "angle", "seeds": 1, "quick": FEW,
}
