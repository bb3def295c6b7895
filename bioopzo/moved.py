"""Where the modules of version 0.1.0's flat package went, for whoever imports them by path."""

import sys

PLACES = {
    "assembly": "network.assembly", "backends": "engines.spiking.backends",
    "batch": "engines.rate.execute", "cards": "show.run", "checks": "checks.check",
    "comparison": "training.compare", "connectivity": "network.connections",
    "differences": "show.differences", "display": "show.model", "epochs": "training.rate",
    "equations": "text.equations", "event_experiments": "studies.simulation",
    "experiments": "studies.results", "exports": "show.exports", "figures": "studies.figures",
    "flow": "checks.influence", "gradients": "measures.rate", "kernels": "engines.rate.arrays",
    "lint": "checks.lines", "live": "training.live", "notebooks": "studies.notebooks",
    "optimizers": "engines.rate.optimizers", "plots_events": "plots.events",
    "program": "engines.rate.program", "rate": "engines.rate.engine",
    "rate_experiments": "studies.rate", "results": "run", "spiking": "engines.spiking.build",
    "tuning": "training.search", "typeset": "text.typeset",
}


class _Signpost:
    """The last finder that Python asks: a module of ours that was not found has moved."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        package, _, module = name.partition(".")
        if package == "bioopzo" and module in PLACES:
            raise ModuleNotFoundError(f"{name} has moved: it is bioopzo.{PLACES[module]} now",
                                      name=name)


def put_up() -> None:
    """Let an import of a module that has moved say where it is."""
    if not any(finder is _Signpost for finder in sys.meta_path):
        sys.meta_path.append(_Signpost)
