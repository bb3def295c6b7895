"""Tables of results as Markdown, each of the content of a data file."""

import math

import numpy as np

from bioopzo.arguments import ENOUGH_SEEDS


def scores(content):
    """Held-out scores in a `content`: spread over seeds, best first.

    With the differences from the first model, seed by seed, and the firing rates before learning,
    or, where a rate of the optimiser was searched, those after it and the rate found.
    """
    search = content.get("search", {})
    accuracy = content["rows"][0]["measure"] == "test_accuracy"
    head = "held-out accuracy (%)" if accuracy else "held-out loss"
    scale, digits = (100, 1) if accuracy else (1, 4)
    difference = _differences(content["rows"], scale, digits)
    more = ["trained rates (Hz)", "optimiser's rate"] if search else ["untrained rates (Hz)"]
    heads = ["rule", f"{head}, mean ± sd", "95 % interval", *difference, "seeds", *more]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    rows = sorted(content["rows"], key=lambda r: r["mean"], reverse=accuracy)
    for row in rows:
        interval = _interval(row, scale, digits, 100.0 if accuracy else math.inf)
        fired = row["rates_hz" if search else "untrained_rates_hz"]
        rates = ", ".join(f"{v:.0f}" for v in fired.values())
        found = f" {search[row['label']]['rate']:g} |" if search else ""
        cells = [row["label"], spread(row["scores"], digits, scale), interval,
                 *(values[row["label"]] for values in difference.values()), which(row["seeds"])]
        lines.append("| " + " | ".join(cells) + f" | {rates} |{found}")
    return "\n".join(lines)


def _differences(rows, scale, digits):
    """A column of differences from the first of `rows`, paired by seeds, with their intervals.

    Head -> label -> cell; none where few seeds, or a file from before they were kept, say nothing.
    """
    found = {}
    for row in rows:
        half, mean = row.get("difference95"), row.get("difference")
        told = half is not None and len(row["seeds"]) >= ENOUGH_SEEDS
        found[row["label"]] = " to ".join(
            f"{scale * end:+.{digits}f}" for end in (mean - half, mean + half)) if told else ""
    if not any(found.values()):
        return {}
    return {f"minus {rows[0]['label']}, 95 % interval": found}


def between(mean, half, digits, most, seeds):
    """An interval in words, within what there is: 0 to `most`; a dash for too few `seeds`."""
    if half is None or seeds < ENOUGH_SEEDS:
        return "-"
    low, high = max(mean - half, 0.0), min(mean + half, most)
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _interval(row, scale, digits, most):
    """The interval of a row, `scale` times as large, in words; few seeds have none."""
    half = None if row["interval95"] is None else scale * row["interval95"]
    return between(scale * row["mean"], half, digits, most, len(row["seeds"]))


def which(seeds):
    """How many, and which: ``"5 (1000 to 1004)"``."""
    ends = [str(seed) for seed in dict.fromkeys((seeds[0], seeds[-1]))]
    return f"{len(seeds)} ({' to '.join(ends)})"


def rewards(content):
    """Held-out best actions and mean reward in a `content`, by reward only: best first."""
    difference = _differences(content["rows"], 100, 1)
    heads = ["rule", "best actions (%), mean ± sd", "95 % interval", *difference, "mean reward",
             "seeds", "hidden rates, untrained to trained (Hz)"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in sorted(content["rows"], key=lambda r: -r["mean"]):
        interval = _interval(row, 100, 1, 100.0)
        reward = [-curve[-1] for curve in content["curves"][row["label"]]["loss"]]
        rates = ", ".join(f"{before:.0f} to {after:.0f}" for before, after in zip(
            row["untrained_rates_hz"].values(), row["rates_hz"].values()))
        lines.append("| " + " | ".join([
            row["label"], spread(row["scores"], 1, 100), interval,
            *(values[row["label"]] for values in difference.values()), spread(reward, 3),
            which(row["seeds"]), rates]) + " |")
    return "\n".join(lines)


def feedback(content):
    """The feedback of a `content` against the expected Jacobian, by rule and layer."""
    lines = ["| rule | layer | cos(M, J) | \\|M\\|/\\|J\\| | seeds |", "|---|---|---|---|---|"]
    seeds = {row["label"]: which(row["seeds"]) for row in content["rows"]}
    for label, layers in content["alignment"].items():
        for layer, values in layers.items():
            lines.append(f"| {label} | {layer} | {spread(values['cosine'], 3)} | "
                         f"{spread(values['ratio'], 2)} | {seeds[label]} |")
    return "\n".join(lines)


def trial_costs(content):
    """What a trial costs in the spiking engine, by the times in a `content`."""
    lines = ["| network in the spiking engine | ms of CPU a trial |", "|---|---|"]
    return "\n".join(lines + [f"| {label} | {value:.1f} |"
                              for label, value in _timed(content, "cpu_ms_per_trial").items()])


def speed(content, view=""):
    """What the benchmarks measured, `content`: spiking engine, or the `view` "rate" or "gpu"."""
    made = {"rate": _rate_speed, "gpu": _gpu_speed}.get(view, _spiking_speed)
    return made(content)


def accuracies(content):
    """Accuracies in a `content` of the rate engine, with their spread over seeds, and activity."""
    one = len(content["rows"][0]["seeds"]) == 1
    columns = _feedback_columns(content)
    difference = _differences(content["rows"], 100, 2)
    extra = ["published (%)"] * ("published" in content) + list(columns)
    shown = "validation" if content.get("parameters", {}).get("on_validation") else "test"
    heads = ["rule", f"{shown} accuracy (%){'' if one else ', mean ± sd'}", *difference, "seeds",
             "firing rate (share of steps)", *extra]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in sorted(content["rows"], key=lambda r: -r["mean"]):
        scores = 100 * np.asarray(row["scores"])
        score = f"{scores[0]:.2f}" if one else spread(scores, 2)
        share = ", ".join(f"{v:.2f}" for v in _shares(content, row["rates_hz"]).values())
        cells = [row["label"], score, *(values[row["label"]] for values in difference.values()),
                 which(row["seeds"]), share]
        if "published" in content:
            published = content["published"].get(row["label"])
            cells.append("" if published is None else f"{published:.2f}")
        cells += [spread(values[row["label"]], 3) if row["label"] in values else ""
                  for values in columns.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _shares(content, rates_hz):
    """In which share of the steps a layer fires, by its rate."""
    return {layer: rate * content["dt_ms"] / 1e3 for layer, rate in rates_hz.items()}


def _feedback_columns(content):
    """Further columns of a table of accuracies: head -> label -> values over seeds."""
    table, angle = content.get("alignment", {}), content.get("angle", {})
    if "sparsity" in content:
        return _sparsity_columns(content["sparsity"])
    layers = list(next(iter(table.values()), ()))
    columns = {f"cos to bp, layer {k}": {label: found[k] for label, found in angle.items()}
               for k in layers if angle}
    for part, head in (("cosine", "cos(M, J)"), ("ratio", "\\|M\\|/\\|J\\|")):
        if part == "cosine" or angle:
            columns.update({f"{head}, layer {k}": {label: found[k][part]
                                                   for label, found in table.items()}
                            for k in layers})
    return columns


def _sparsity_columns(found):
    """Columns of the share of neurons that learn, and of the operations that this leaves."""
    layers = next(iter(found.values()))["share"]
    return {**{f"neurons with psi (share), layer {k}": {
                   label: told["share"][name] for label, told in found.items()}
               for k, name in enumerate(layers, 1)},
            "operations of learning (share of all)": {
                label: np.divide(told["operations"], told["dense"])
                for label, told in found.items()}}


def gradients(content):
    """Angle to backpropagation, variance and feedback of the trained networks of a `content`."""
    layers = range(1, 1 + len(next(iter(content["synaptic_operations"].values()))))
    keys = [f"forward_{k}.w" for k in layers]
    heads = ["rule", *(f"{head}, layer {k}" for head in (
        "cos to bp", "variance / bp's", "cos(M, J)", "\\|M\\|/\\|J\\|") for k in layers)]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for label in dict.fromkeys([*content["angle"], *content["variance_over_bp"]]):
        angle, variance = content["angle"].get(label), content["variance_over_bp"].get(label)
        found = content["alignment"].get(label)
        cells = [label]
        cells += [spread(angle[k], 3) if angle else "" for k in keys]
        cells += [f"{np.mean(variance[k]):.3g}" if variance else "" for k in keys]
        for part, digits in (("cosine", 3), ("ratio", 2)):
            cells += [spread(found[str(k)][part], digits) if found else "" for k in layers]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _rate_speed(content):
    """Speed of the rate engine."""
    lines = ["| training step (T = 6, batch 128), CPU time of one thread | engine (ms) | "
             "compared with (ms) | ratio |", "|---|---|---|---|"]
    for rule in ("opzo", "bp"):
        found = content[f"rate_floor_{rule}"]
        lines.append(f"| 784-800-800-10, {rule}: its matrix products alone | "
                     f"{found['engine_ms']:.1f} | {found['floor_ms']:.1f} | {found['share']:.2f} |")
    shown = {"fc": "784-800-800-10", "conv": "28x28-32C3-AP2-64C3-AP2-10",
             "papers": "3x32x32-128C3-AP2-256C3-AP2-512C3-AP2-512C3-10, batch 32"}
    for key, found in content.items():
        if key.startswith("rate_torch_"):
            network, rule = key.split("_")[2:]
            lines.append(f"| {shown[network]}, {rule}: PyTorch {found['version']} | "
                         f"{found['engine_ms']:.1f} | {found['torch_ms']:.1f} | "
                         f"{found['ratio']:.2f} |")
    for name, found in content.get("rate_before", {}).get("steps", {}).items():
        lines.append(f"| {name}: the engine before JAX | {found['engine_ms']:.1f} | "
                     f"{found['before_ms']:.1f} | {found['before_ms'] / found['engine_ms']:.2f} |")
    lines += ["", "| 784-800-800-10, opzo, batch 128 | ms a step | memory of the program (MB) |",
              "|---|---|---|"]
    lines += [f"| T = {row['T']} | {row['ms']:.0f} | {row['program']:.0f} |"
              for row in content["rate_memory_opzo"]]
    edit = content["rate_edit"]
    lines += ["", "| digits, 64-32-32-10, opzo | CPU time |", "|---|---|",
              f"| a trial, batch 1, weights moved in every step | "
              f"{content['rate_trial_of_1']['ms']:.3f} ms |",
              f"| the same, 32 learning rates at once, a trial and run | "
              f"{content['rate_trial_of_32']['ms']:.3f} ms |",
              f"| 20 epochs in batches of 32, once compiled | "
              f"{content['rate_epochs']['seconds']:.2f} s |",
              f"| *edited line to the curve of 20 epochs* | *{edit['cold']['edit_s']:.1f} s* |",
              f"| *the same, compiled before* | *{edit['warm']['edit_s']:.1f} s* |"]
    return "\n".join(lines)


def _gpu_speed(content):
    """What `tests/benchmarks/gpu_speed.py` found on a GPU."""
    found = content["gpu"]
    shown = {"fc": "784-800-800-10", "conv": "28x28-32C3-AP2-64C3-AP2-10",
             "papers": "3x32x32-128C3-AP2-256C3-AP2-512C3-AP2-512C3-10"}
    lines = ["| training step, T = 6 | batch | bp (ms) | opzo (ms) |", "|---|---|---|---|"]
    for network, batches in (("fc", (128,)), ("conv", (128,)), ("papers", (32, 128))):
        for batch in batches:
            tail = f", batch {batch}" if network == "papers" else ""
            times = [found[f"{network} {rule}{tail}"]["ms"] for rule in ("bp", "opzo")]
            lines.append(f"| {shown[network]} | {batch} | {times[0]:.2f} | {times[1]:.2f} |")
    epochs = [found[f"fc {rule}, epochs"]["epochs_a_minute"] for rule in ("bp", "opzo")]
    lines.append(f"| *epochs of 60,000 images a minute, 784-800-800-10* | 128 | *{epochs[0]:.0f}* "
                 f"| *{epochs[1]:.0f}* |")
    one, many, batches = (found[f"digits, {name}"]["us"] / 1e3 for name in (
        "1 run, batch 1", "32 runs, batch 1", "32 runs, batch 32"))
    return "\n".join([*lines, "", (
        f"Digits (64-32-32-10, OPZO, 60 steps), a trial and run: {one:.1f} ms alone, {many:.2f} ms "
        f"with 32 runs at once, {batches:.3f} ms in batches of 32.")])


def costs(content):
    """Synaptic operations and time of a trial in a `content`, by rule; rates, where it has them."""
    operations, cost = content["synaptic_operations"], _timed(content, "cost")
    layers = list(next(iter(operations.values())))
    if "rates_hz" in content:
        return _rates_and_operations(content, layers)
    heads = ["rule", *(f"synaptic operations a trial, {layer.replace('_', ' ')} (thousands)"
                       for layer in layers), "ms a training trial (wall)"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for label, found in operations.items():
        lines.append("| " + " | ".join([label, *(f"{found[layer]/1e3:.0f}" for layer in layers),
                                        f"{cost[label]['ms_per_trial']:.2f}"]) + " |")
    return "\n".join(lines)


def _rates_and_operations(content, layers):
    """Firing rates, and synaptic operations a trial: of all layers, and what learning adds."""
    names = [layer.replace("_", " ") for layer in layers]
    heads = ["rule", *(f"firing rate (share of steps), {name}" for name in [*names, "all"]),
             *(f"synaptic operations a trial (thousands), {name}" for name in [*names, "all"]),
             "onto local readouts (thousands)", "ms a training trial (wall)"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    sizes = [content["neurons"][layer] for layer in layers]
    for label, found in content["synaptic_operations"].items():
        shares = [_shares(content, content["rates_hz"][label])[layer] for layer in layers]
        sent = [found[layer] / 1e3 for layer in layers]
        local = sum(content["local_operations"][label].values()) / 1e3
        cost = _timed(content, "cost")[label]["ms_per_trial"]
        lines.append("| " + " | ".join([
            label, *(f"{v:.3f}" for v in [*shares, np.average(shares, weights=sizes)]),
            *(f"{v:.0f}" for v in [*sent, sum(sent)]), f"{local:.0f}", f"{cost:.2f}"]) + " |")
    return "\n".join(lines)


def losses(content):
    """The held-out loss in a `content` after so many batches, by rule; means over seeds."""
    curves = content["curves"]
    shown = next(iter(curves.values()))["trials"]
    batch = next(iter(content["settings"].values()))["batch"]
    heads = ["held-out loss after batches", *(str(int(trials) // batch) for trials in shown)]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for label, told in curves.items():
        means = np.mean(told["loss"], axis=0)
        lines.append("| " + " | ".join([label, *(f"{v:.3f}" for v in means)]) + " |")
    return "\n".join(lines)


def _spiking_speed(content):
    """Speed of the spiking engine."""
    speed, edit = content["spiking_speed"], content["edit_latency"]
    return "\n".join([
        "| CPU time of one thread, learning on | ms a trial |", "|---|---|",
        f"| C, dense updates | {speed['c_ms']:.3f} |",
        f"| spiking engine, {speed['engine_over_c']:.2f} of C (median of "
        f"{len(speed['engine_over_c_rounds'])} rounds) | {speed['engine_ms']:.3f} |",
        f"| the engine with the start of a chunk | {speed['engine_with_start_ms']:.3f} |",
        f"| Brian2, one `run()` a trial | {speed['naive_ms']:.0f} |",
        f"| *edited line to a 1,000-trial curve (wall)* | *{edit['seconds']:.1f} s* |"])


def spread(values, digits, scale=1):
    """Mean and standard deviation over seeds in words; nothing where a value could not be told."""
    values = scale * np.asarray(values, dtype=float)
    if not np.isfinite(values).all():
        return "-"
    if values.size == 1:
        return f"{values[0]:.{digits}f}"
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def _timed(content, key):
    """What a clock said; in files from before there were keys it is among the data."""
    return content[key] if key in content else content["timing"][key]
