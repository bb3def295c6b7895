"""What ``bioopzo results cifar10`` runs; see docs/results/cifar10.md.

Choices were made with seed 2000 on 3,000 validation images: `cifar10_choices` makes them again.
"""

#: Of every model: no dropout. Local learning (LL): each hidden layer has a readout of its own.
PLAIN: dict[str, object] = {"dropout": 0.0}
LOCAL: dict[str, object] = {**PLAIN, "local": True}
#: OPZO's perturbation falls to a tenth, so that the last images are learned almost undisturbed.
FALLS: dict[str, object] = {"alpha_final": 0.1}
MODELS: dict[str, dict] = {
    "bp": PLAIN, "opzo": {**PLAIN, **FALLS}, "opzo, LL": {**LOCAL, **FALLS},
    "dfa": PLAIN, "dfa, LL": LOCAL, "dkp": PLAIN,
    "node_perturbation, ZO": {**PLAIN, "baseline": False}, "readout_only": PLAIN,
}
#: The paper's test accuracies (%), table 1: of its own network, on whole images, after many epochs.
PUBLISHED = {"bp": 89.99, "opzo": 85.74, "opzo, LL": 89.42, "dfa": 79.90, "dkp": 81.12,
             "node_perturbation, ZO": 49.04}
#: Images are halved before the first layer. Two steps pass before the noise begins, so that the
#: readout has left its start; a hold of four steps lets the noise come through three layers.
SETTING = {
    "task": "cifar10",
    "task_options": {"partial": True, "validation": 3000, "steps": 10, "warmup": 4},
    "network": "3x32x32-AP2-16C3-AP2-32C3-AP2-64C3-AP2-10",
    "regime": {"T_z_ms": 4.0, "T_w_ms": 2.0, "mu": 50.0},
    "common": {"batch": 64, "rate": 0.03},
    "first_seed": 1000, "epochs": 5,
    "quick": {"samples": 256, "validation": 64},
}
#: What was tried, two passes each: AdamW's rate for every rule; OPZO's perturbation as large at the
#: end as at the start, a smaller step of M, and local errors that weigh more.
RATES = (0.01, 0.03, 0.1)
TRIED: dict[str, tuple[dict, float]] = {
    **{f"{label}, rate {rate:g}": (MODELS[label], rate) for label in
       ("bp", "opzo", "dfa", "dkp", "readout_only", "node_perturbation, ZO") for rate in RATES},
    "opzo, alpha constant": (PLAIN, 0.03), "opzo, mu 10": ({**MODELS["opzo"], "mu": 10.0}, 0.03),
    **{f"opzo, LL, zeta {zeta:g}": ({**MODELS["opzo, LL"], "zeta": zeta}, 0.03)
       for zeta in (0.01, 0.1)},
}
#: A choice is made on validation images, with a seed of no table.
LOOKED: dict[str, object] = {"on_validation": True, "first_seed": 2000, "seeds": 1}
CHOICES: dict[str, object] = {
    **SETTING, "settings": {label: {"rate": rate} for label, (_, rate) in TRIED.items()},
    **LOOKED, "epochs": 2,
}
#: What was tried to bring OPZO with LL nearer to bp, five passes each: a step of M that falls
#: further, so that M is not stirred when the perturbation is small; psi wider than the neuron's,
#: which is then more alike over images; less and more perturbation.
WIDE_PSI: dict[str, object] = {"surrogate": "localzo_normal", "delta_z": 0.7}
STILL: dict[str, object] = {**MODELS["opzo, LL"], "mu_final": 0.01}
NEARER: dict[str, dict] = {
    "bp": PLAIN, "bp, wide psi": {**PLAIN, **WIDE_PSI}, "opzo, LL": MODELS["opzo, LL"],
    "opzo, LL, mu to a hundredth": STILL,
    "opzo, LL, mu to a hundredth, wide psi": {**STILL, **WIDE_PSI},
    "opzo, LL, mu to a hundredth, alpha 100 Hz": {**STILL, "alpha_hz": 100.0},
    "opzo, LL, mu to a hundredth, alpha 400 Hz": {**STILL, "alpha_hz": 400.0, "alpha_final": 0.03},
}
#: What one Jacobian for all images can do: bp whose errors pass the running mean of psi, not the
#: psi of the moment, on their way down: feedback that is the same for all images, as M is.
MEAN_PSI: dict[str, object] = {**PLAIN, "edit": {
    "hidden:delta": "delta = mean_psi*g : 1\ndmean_psi/dt = (psi - mean_psi)/tau_psi : 1",
    "tau_psi_ms": 300.0}}
LONGER: dict[str, dict] = {"bp": PLAIN, "bp, mean psi": MEAN_PSI, **MODELS}
