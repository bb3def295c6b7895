"""Trained networks for other programs: a script for Brian2 alone, a graph in NIR."""

from bioopzo.lazily import lazily

__all__ = ["export"]
__getattr__, __dir__ = lazily(__name__, {"forms": "export"})
