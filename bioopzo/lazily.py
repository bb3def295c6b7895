"""Packages whose names are loaded when they are first used.

Brian2 takes seconds to import, matplotlib and scipy a good part of one: what does not need them
(the command line, figures that are up to date) should not wait for them.
"""

import importlib
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any


def lazily(package: str, places: Mapping[str, str], modules: Collection[str] = (),
           ) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package that names where its public names live.

    `package` is its ``__name__``, `places` maps a module of it to the names it gives, separated
    by spaces; `modules` are modules of it that are public as a whole. A name is kept once it was
    loaded. Returns the two functions.
    """
    homes = {name: module for module, names in places.items() for name in names.split()}

    def load(name):
        if name in homes:
            value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        elif name in modules:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: sorted([*homes, *modules])
