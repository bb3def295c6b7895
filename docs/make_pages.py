"""The pages that are made from the package's own tables: language, rules, neurons, reference.

`python docs/make_pages.py` writes them; `conf.py` does so at every build. Git ignores them.
"""

import inspect
import json
import re
from functools import cache
from pathlib import Path

import pictures
from docstrings import code, md, prose, reference_page, sentence

import bioopzo as bz
from bioopzo.files import write_atomically
from bioopzo.network import clock, kinds, parts
from bioopzo.network.symbols import all_symbols
from bioopzo.show.model import blocks_of, declarations, quantity
from bioopzo.text import typeset
from bioopzo.text.equations import is_expression, parse
from bioopzo.text.functions import INSTEAD, TABLE

DOCS = Path(__file__).parent
#: Folders of pages that nobody writes.
MADE = ("language", "rules", "neurons", "reference", "tutorials", "gallery")
#: Pages and pictures of this build.
WRITTEN: set[Path] = set()
#: What the reference holds: a page -> (title, module whose `__all__` it lists).
PUBLIC = {
    "bioopzo": "bioopzo", "tasks": "bioopzo.tasks", "rules": "bioopzo.rules",
    "neurons": "bioopzo.neurons", "texts": "bioopzo.texts", "measures": "bioopzo.measures",
    "plots": "bioopzo.plots", "gradients": "bioopzo.measures.rate",
    "optimizers": "bioopzo.engines.rate.optimizers",
}
#: Options that make models with blocks which the plain one lacks.
KINDS_OF_MODEL = (
    *({"rule": rule} for rule in bz.rules.available()),
    *({"rule": "opzo", "form": form} for form in ("momentum", "plain")),
    *({"rule": "dfa", "neuron": neuron} for neuron in bz.neurons.available()),
    {"rule": "opzo", "place": "before"}, {"rule": "opzo", "antithetic": False},
    {"rule": "opzo", "local": True}, {"rule": "eprop", "regularised": True},
    {"error": "reward"}, {"error": "spiking"}, {"surrogate": "localzo"},
    {"surrogate": "localzo_normal"}, {"dropout": 0.2}, {"coding": "poisson"}, {"coding": "spikes"},
    {"rule": "readout_only", "freeze": ("forward_1",)},
)
SIZES = (4, 3, 3, 2)
#: The part of the step of moments for which Brian2 has one of its own.
SLOT_OF = {"spikes when": "thresholds", "at a spike": "resets"}


def everything() -> None:
    """Write all pages that are made, and the copies of the notebooks; what did not change stays.

    So a second build reads again only what changed, and two builds do not disturb each other.
    """
    before = {path for folder in MADE for path in (DOCS / folder).glob("*")}
    WRITTEN.clear()
    language()
    for name in bz.rules.available():
        _write(f"rules/{name}.md", rule_page(name))
    for name in bz.neurons.available():
        _write(f"neurons/{name}.md", neuron_page(name))
    for name, module in PUBLIC.items():
        _write(f"reference/{name}.md", reference_page(name, module))
    for path in sorted((DOCS.parent / "notebooks").glob("*.ipynb")):
        number, _, name = path.stem.partition("_")
        _write(f"tutorials/{int(number):02}_{name}.ipynb", path.read_text())
    _write("gallery/figures.md", gallery_page())
    for path in before - WRITTEN:
        path.unlink()


def _write(path, text):
    """Write a page where it is not there, or another one; it is one of those that are to stay."""
    path, text = DOCS / path, text.strip() + "\n"
    WRITTEN.update((path, path.with_suffix(".png")))
    if not path.is_file() or path.read_text() != text:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, lambda file: file.write(text.encode()))


@cache
def _model(**options):
    return bz.Model(SIZES, **options)


def _models():
    return [_model(**options) for options in KINDS_OF_MODEL]


def gallery_page() -> str:
    """Every figure in `figures/images`, with what it says of itself and its command.

    A picture is shown where it has been drawn: not all are in the repository.
    """
    page = ["# Figures\n", "Each is drawn by its command, from numbers in the file beside it "
            "(`figures/images/NAME.json`), which also says with which parameters and versions.\n"]
    for path in sorted((DOCS.parent / "figures" / "images").glob("*.json")):
        said = json.loads(path.read_text())
        page += [f"## {path.stem.replace('_', ' ').capitalize()}\n",
                 f"![{path.stem}](../../figures/images/{path.stem}.png)\n"
                 if path.with_suffix(".png").is_file() else "",
                 prose(said["about"]), f"\n`{said['command']}`\n"]
    return "\n".join(page)


# ---------------------------------------------------------------------------- language

def language() -> None:
    """Write the pages of the language: symbols, blocks, time, functions, parameters."""
    _write("language/symbols.md", symbols_page())
    _write("language/blocks.md", blocks_page())
    _write("language/time.md", time_page())
    _write("language/functions.md", functions_page())
    _write("language/parameters.md", parameters_page())


def defined() -> dict[str, tuple[set[str], set[str]]]:
    """What the package's blocks define: name -> (units, blocks)."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for model in _models():
        for block, text in model.blocks.items():
            for line in () if is_expression(block) else parse(text, block):
                if line.kind != "statement":
                    units, blocks = found.setdefault(stem(line.name), (set(), set()))
                    units.add(line.unit)
                    blocks.add(re.sub(r"_\d+$", "", block))
    return found


def stem(name: str) -> str:
    """The name under which the table of symbols has a variable: ``xbar`` for ``xbar_pre``."""
    name = re.sub(r"_(pre|post)$", "", name)
    for pattern, table in ((r"z\d+(_\w+)?$", "z1"), (r"push_\w+$", "push"), (r"z_\d+$", "z_1")):
        name = re.sub(rf"^{pattern}", table, name)
    return name


def symbols_page() -> str:
    """Every symbol as an entry of its own (`conf.setup`), which the search box finds."""
    places = defined()
    owners: dict[str, list[str]] = {}
    for name, symbol in all_symbols().items():
        blocks = sorted(places.get(name, ((), ()))[1])
        where = f" Set in {code(blocks)}." if blocks else " Given by the engine."
        owners.setdefault(symbol.owner, []).append(
            f":::{{symbol}} {name}\n${typeset.symbol(name)}$: {md(symbol.meaning)}. "
            f"Unit: {symbol.unit}.{where}\n:::\n")
    page = ["# Symbols\n",
            "Every name that the text of the package uses, under the one whose value it is. In a "
            "synapse, `xbar_pre` is the value of the neuron that it comes from, `psi_post` "
            "that of the neuron it goes to. A unit of 1 means a plain number. Numbers count: `z2` "
            "is `z1` one filter on; `push_g_e` is the `push` into `g_e`.\n"]
    for owner, entries in owners.items():
        page += [f"## {owner.capitalize()}\n", *entries]
    return "\n".join(page)


def blocks_page() -> str:
    """Every block: when it runs, in which part of the time step, and an example of its text."""
    page = ["# Blocks\n",
            "A model is a set of blocks of text. The name of a block says whose it is and when it "
            "runs: `hidden` holds the equations of all hidden neurons, `hidden.reset` what a spike "
            "does to its own neuron, `hidden_2.reset` the same of the second layer alone, "
            "`forward.spike` what a synapse does at a spike of its source. A block that is called "
            "after one population or projection is laid over that of its kind. A star stands for a "
            "word of your own. *Part of the step*: see [time](time.md).\n"]
    for kind in kinds.KINDS:
        page += [f"## `{kind}`: {kinds.kind_of(kind).title.lower()}\n",
                 "| block | when it runs | part of the step | an example |", "|---|---|---|---|"]
        for block in kinds.block_names(kind):
            moment = kinds.moments_of(kind)[block.partition(".")[2].partition(".")[0]]
            if block.endswith(".trial"):
                moment = getattr(kinds.kind_of(kind), "trial", moment)
            phrase = moment.phrase or "equations, at all times"
            part = moment.when or SLOT_OF.get(phrase, "")
            page.append(f"| `{block}` | {phrase} | {part} | {_example(block)} |")
        page.append("")
    return "\n".join(page)


def _example(block):
    """The first line of this block in some model."""
    pattern = re.compile(re.escape(block).replace(r"\*", r"\w+") + "$")
    for model in _models():
        for name, text in model.blocks.items():
            if pattern.match(name) and text.strip():
                line = text if is_expression(name) else str(parse(text, name)[0])
                return f"`{line}`".replace("|", r"\|")
    return ""


def time_page() -> str:
    """The order of a time step, and the trial's clock."""
    page = ["# Time\n", "## One time step\n",
            "All that plasticity reads belongs to one moment, the one before any spike of the step "
            "acts. The parts of a step, in their order:\n", "| part | what happens |", "|---|---|"]
    page += [f"| `{slot}` | {md(what)} |" for slot, what in kinds.SLOTS.items()]
    page += ["\n## The trial's clock\n",
             "What changes within a trial; any text may read it. Synapses read it through either "
             "neuron, as in `gate_post`.\n", "| name | meaning | unit | in evaluation |",
             "|---|---|---|---|"]
    page += [f"| `{name}` | {md(meaning)} | {clock.CLOCK_UNITS.get(name, '1')} | "
             f"{'0' if name in (*clock.OF_LEARNING, 'plastic') else 'the same'} |"
             for name, meaning in clock.MEANING.items()]
    page += ["\n`t` is the time of training: it goes on in trials with plasticity only. A *hold* "
             "is a time during which the perturbation z stays as it was drawn; a *pair* is a hold "
             "with +z and one with -z."]
    return "\n".join(page)


def functions_page() -> str:
    """Every function that a text may call, and how others are written."""
    page = ["# Functions\n", "| function | what it is | where |", "|---|---|---|"]
    for name, told in TABLE.items():
        where = "statements" if told.random else "anywhere" if told.everywhere else "Brian2 only"
        page.append(f"| `{name}` | {md(told.meaning)} | {where} |")
    page += ["\nRandom numbers stand in statements (`S = int(rand() < chance)`), not in "
             "equations.\n",
             "## Written in another way\n", "| elsewhere | here |", "|---|---|"]
    page += [f"| `{name}` | {md(how)} |" for name, how in INSTEAD.items()]
    return "\n".join(page)


def parameters_page() -> str:
    """The parameters that every model has, or gets with an option."""
    tables = {
        "Of every model": parts.PARAMETERS,
        "Of the protocol (no equation reads them)": parts.PROTOCOL,
        "With `error=\"reward\"`": parts.ERROR_PARAMETERS["reward"],
        "With `error=\"spiking\"`": parts.ERROR_PARAMETERS["spiking"],
        "With `surrogate=\"localzo...\"`": parts.SURROGATE_PARAMETERS,
    }
    page = ["# Parameters\n",
            "Numbers with units that text reads by name; `model.edit(tau_m=20*ms)` changes one. "
            "Those of a [rule](../rules.md) or a [neuron](../neurons.md) are on its page.\n"]
    for title, parameters in tables.items():
        page += [f"## {title}\n", *_parameter_table(parameters), ""]
    return "\n".join(page)


def _parameter_table(parameters):
    yield "| symbol | name | default | meaning | source |"
    yield "|---|---|---|---|---|"
    for name, told in parameters.items():
        yield (f"| ${typeset.symbol(name)}$ | `{name}` | {quantity(told.default)} | "
               f"{md(told.meaning)} | {md(told.source)} |")


# ---------------------------------------------------------------------------- rules and neurons

def rule_page(name: str) -> str:
    """The page of a rule: what it is, equations, parameters, needs, learning curve, source."""
    function = bz.rules.available()[name]
    model = _model(rule=name)
    made = model.rule
    page = [f"# {name}\n", f"*{sentence(made.summary)}*\n", prose(_module(function)), "",
            prose(inspect.getdoc(function)), "", "## Equations\n",
            "What the rule adds to a network of two hidden layers, or replaces in it; all else is "
            f"the network's. `bz.Model(sizes, rule=\"{name}\")` shows the whole.\n",
            *_equations(model, made.blocks), *_plain(model, made), "## Parameters\n",
            *(_parameter_table(made.parameters) if made.parameters
              else ["None of its own: `eta` and `eta_o` are the [network's]"
                    "(../language/parameters.md)."]),
            *_options(bz.rules.options(name)), "\n## What it assumes\n", *_assumed(made),
            "\n## A learning curve\n"]
    said = pictures.learning_curve(name, DOCS / "rules" / f"{name}.png")
    page += [f"![Learning curve of {name}]({name}.png)\n\n{said}" if said else
             "None of the kept results has this rule: none is shown."]
    return "\n".join([*page, *_cited(made)])


def neuron_page(name: str) -> str:
    """The page of a neuron: what it is, equations, parameters, its answer, its source."""
    function = bz.neurons.available()[name]
    model = _model(rule="dfa", neuron=name)
    made = bz.neurons.get(name)
    page = [f"# {name}\n", f"*{sentence(made.summary)}*\n", "## What it is, and assumes\n",
            prose(_module(function)), "", prose(inspect.getdoc(function)), "", "## Equations\n",
            *_equations(model, made.blocks)]
    if made.synapse:
        page += ["What a synapse onto it keeps for a rule:\n", *_lines_of(made.synapse, "i", "j")]
    if made.trace:
        page += ["What its sources keep for their synapses:\n", *_lines_of(made.trace[""])]
    received = ", ".join(f"`{variable}` by `{amount}`" for variable, amount in
                         made.receives.items())
    page += [f"A spike that arrives raises {received}. Rules read `threshold` as "
             f"`{made.threshold}`.\n", "## Parameters\n", *_parameter_table(made.parameters),
             *_options(bz.neurons.options(name)), "\n## Its response\n"]
    said = pictures.response(name, DOCS / "neurons" / f"{name}.png")
    page += [f"![Response of {name}]({name}.png)\n\n{said}" if said else "Not drawn."]
    return "\n".join([*page, *_cited(made)])


def _module(function):
    """The docstring of the file, less its citations' line, which stands below."""
    return inspect.getdoc(inspect.getmodule(inspect.unwrap(function))) or ""


def _equations(model, own):
    """Blocks of a model with the lines that a rule or a neuron wrote: typeset, and as text."""
    names = {block: {line.name for line in parse(text, block)} for block, text in own.items()
             if not is_expression(block) and text.strip()}
    for block in blocks_of(model):
        lines = [line for line in block.lines if line.name in names.get(block.name, ())]
        if block.condition and block.name in own:
            yield f"**`{block.name}`** ({block.phrase}):\n"
            yield f"$${typeset.expression(block.condition)}$$\n\n```text\n{block.condition}\n```\n"
        elif lines:
            when = block.phrase or "equations"
            yield f"**`{block.name}`**, {block.title.lower()}: {when}\n"
            shown = [line for line in lines if line.kind != "parameter"]
            yield from (f"$${typeset.equation(line, block.own, block.pre, block.post)}$$\n"
                        for line in shown)
            if not shown:
                told = ", ".join(f"`{line.name}`" for group in declarations(block).values()
                                 for line in group if line in lines)
                yield f"declares {told}\n"
            yield "```text\n" + "\n".join(map(str, lines)) + "\n```\n"


def _lines_of(text, pre="", post=""):
    lines = parse(text)
    own = {line.name for line in lines} if pre else ()
    yield from (f"$${typeset.equation(line, own, pre, post)}$$\n" for line in lines)
    yield "```text\n" + "\n".join(map(str, lines)) + "\n```\n"


def _plain(model, made):
    """The forward rule, where a rule of learning leaves it as it is."""
    if "forward" not in made.blocks:
        yield "The weights of hidden neurons follow the plain rule of three factors:\n"
        yield from _lines_of(model.blocks["forward"], "i", "j")


def _options(options):
    if options:
        yield "\nOptions, with their defaults: " + ", ".join(
            f"`{name}={value!r}`" for name, value in options.items()) + "."


def _assumed(made):
    symbols = all_symbols()
    yield "It reads of the hidden neuron:\n"
    yield from (f"- `{name}`: {md(symbols[name].meaning)}" for name in made.needs)
    if made.gradient:
        yield "\nIt is run by the rate engine only, which differentiates the trial."
    if made.perturbs:
        yield ("\nHidden neurons carry a perturbation while it learns: trials have room for "
               + ("pairs of holds (+z, then -z)." if made.perturbs == "pair" else
                  "one hold of z."))
    if "modulator" in str(made.blocks):
        yield "\nIt is given a scalar, the loss or the reward, and no vector of errors."


def _cited(made):
    if made.reference.strip():
        yield "\n## Cite\n"
        yield from (md(" ".join(entry.split())) + "\n"
                    for entry in made.reference.strip().split("\n\n"))


if __name__ == "__main__":
    everything()
