"""Engine 1: the only part of the package that makes Brian2 objects."""

from bioopzo.lazily import lazily

__all__ = ["restore"]
__getattr__, __dir__ = lazily(__name__, {"trained": "restore"})
