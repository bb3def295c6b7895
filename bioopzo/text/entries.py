"""A mapping that prints an entry a line."""

from collections.abc import Mapping
from typing import TypeVar

#: What the entries are.
Entry = TypeVar("Entry")


class Entries(Mapping[str, Entry]):
    """A mapping that cannot be changed, prints an entry a line, and completes its keys."""

    def __init__(self, entries: Mapping[str, Entry]):
        self._entries = dict(entries)

    def __getitem__(self, name):
        return self._entries[name]

    def __iter__(self):
        return iter(self._entries)

    def __len__(self):
        return len(self._entries)

    def __repr__(self):
        return "\n".join(f"{name}:\n    " + value.replace("\n", "\n    ")
                         if isinstance(value, str) else f"{name} = {value}"
                         for name, value in self.items())

    def _ipython_key_completions_(self):
        return list(self)
