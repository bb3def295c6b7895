"""The C++ compiler, and the one lock of whatever generates code."""

import functools
import os
import platform
import shutil
import subprocess
import threading
from pathlib import Path

from brian2 import prefs
from brian2.codegen.cpp_prefs import get_compiler_and_args

#: Brian2's device is global: only one thread may generate code at a time.
ONE_AT_A_TIME = threading.RLock()


def compiler():
    """The C++ compiler that standalone would use, or None when there is none."""
    return shutil.which("g++") or shutil.which("clang++")


def wanted_flags():
    """Brian2's compiler flags as the user set them, whether or not the compiler knows them."""
    given = prefs["codegen.cpp.extra_compile_args"]
    return tuple(prefs["codegen.cpp.extra_compile_args_gcc"] if given is None else given)


def compiler_flags():
    """Those of `wanted_flags` that the compiler knows.

    Asking tries the compiler with the whole process's output turned away, so it is done once and
    never beside another thread that does the same.
    """
    return _known_flags(wanted_flags())


@functools.cache
def _known_flags(wanted):
    with ONE_AT_A_TIME:
        return tuple(get_compiler_and_args()[1])


@functools.cache
def machine():
    """What a program made for this processor depends on: its kind and what it can do."""
    try:
        known = Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        known = platform.processor()
    able = [line for line in known.splitlines() if line.startswith(("flags", "Features", "isa"))]
    return " ".join([platform.machine(), *(able[:1] or [platform.processor()])])


def compiler_stamp():
    """Which compiler it is, without asking it: another release is another file."""
    path = os.path.realpath(compiler())
    state = os.stat(path)
    return f"{path} {state.st_size} {state.st_mtime_ns}"


def is_clang():
    """Whether the compiler is clang, under whatever name."""
    return _is_clang(compiler_stamp())


@functools.cache
def _is_clang(stamp):
    try:
        told = subprocess.run([compiler(), "--version"], capture_output=True, text=True)
    except OSError:
        return False
    return "clang" in told.stdout
