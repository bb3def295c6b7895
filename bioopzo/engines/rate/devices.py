"""Where the rate engine runs: JAX's devices, several of which may share a batch."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bioopzo.errors import InputError
from bioopzo.files import cache_directory

KINDS = ("cpu", "gpu")
_COMPILING = threading.RLock()
#: Which of a program's arguments and results are shared out over devices: all but the state of
#: the samples is the same on each.
_REPLICATED = ("weights", "shared", "moments", "updates")


@dataclass(frozen=True)
class Placement:
    """Where an engine runs: `device` is ``"cpu"`` or ``"gpu"`` (default: JAX's choice).

    The samples of a batch are shared out over `devices` of them. Raises `InputError` for a device
    that is not there, and for more than there are.
    """

    device: str | None = None
    devices: int = 1

    def __post_init__(self):
        if self.devices > len(self.found):
            raise InputError(
                f"devices={self.devices}: there are {len(self.found)} ({self.found[0].platform}); "
                "several parts of one processor are made with XLA_FLAGS="
                f"--xla_force_host_platform_device_count={self.devices} before Python starts")

    @cached_property
    def found(self):
        """The devices there are, of all processes."""
        try:
            return jax.devices(self.device)
        except RuntimeError:
            raise InputError(f"device={self.device!r}: JAX finds none here (it finds "
                             f"{jax.devices()[0].platform}); a GPU needs JAX's own package for it,"
                             " such as jax[cuda12]; device='cpu' is always there") from None

    @cached_property
    def mesh(self):
        """The devices that share a batch, or None for one."""
        return Mesh(np.array(self.found[:self.devices]), ("batch",)) if self.devices > 1 else None

    def sharding(self, axis=None):
        """That of an array whose samples lie along `axis`; None: the same on every device."""
        spec = PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, "batch")
        return NamedSharding(self.mesh, spec)

    def put(self, kept, given):
        """Both on their devices: samples shared out, all else on each."""
        if self.mesh is None:
            place = None if self.device is None else self.found[0]
            return jax.device_put(kept, place), jax.device_put(given, place)
        samples = {key: self._shared(value, 0) for key, value in kept["state"].items()}
        whole = {name: jax.tree.map(self._shared, kept[name]) for name in _REPLICATED}
        return {**whole, "state": samples}, {key: self._shared(value, value.ndim - 2)
                                             for key, value in given.items()}

    def _shared(self, value, axis=None):
        """An array on all devices; every process has all of it and hands over its part."""
        sharding = self.sharding(axis)
        if isinstance(value, jax.Array) and value.sharding == sharding:
            return value
        value = np.asarray(value)
        return jax.make_array_from_callback(value.shape, sharding, lambda part: value[part])

    def jit(self, function, name):
        """A program compiled for these devices; `name` is ``"train"`` or another."""
        if self.mesh is None:
            return jax.jit(function)
        whole, kept = self.sharding(), {name: self.sharding() for name in _REPLICATED}
        kept["state"] = self.sharding(0)
        return jax.jit(function, out_shardings=(kept, *[whole] * (2 if name == "train" else 1)))


def gathered(value):
    """An array as NumPy's, also where its parts lie in several processes."""
    if isinstance(value, jax.Array) and not value.is_fully_addressable \
            and not value.is_fully_replicated:
        value = multihost_utils.process_allgather(value, tiled=True)
    return np.asarray(value)


@contextmanager
def kept_programs():
    """What is compiled here is kept in our folder, where the user has named none of their own.

    JAX knows one folder for all; it gets ours for the time of a compilation only.
    """
    ours = {"jax_compilation_cache_dir": str(cache_directory().with_name("jax")),
            "jax_persistent_cache_min_compile_time_secs": 0.1}
    with _COMPILING:
        theirs = {name: getattr(jax.config, name) for name in ours}
        if theirs["jax_compilation_cache_dir"] is not None:
            yield
            return
        for name, value in ours.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        try:
            yield
        finally:
            for name, value in theirs.items():
                jax.config.update(name, value)
            compilation_cache.reset_cache()
