"""The C++ compiler, and the one lock of whatever generates code."""

import functools
import shutil
import threading

from brian2.codegen.cpp_prefs import get_compiler_and_args

#: Brian2's device is global: only one thread may generate code at a time.
ONE_AT_A_TIME = threading.RLock()


def compiler():
    """The C++ compiler that standalone would use, or None when there is none."""
    return shutil.which("g++") or shutil.which("clang++")


@functools.cache
def compiler_flags():
    """Brian2's compiler flags.

    Asking tries the compiler with the whole process's output turned away, so it is done once and
    never beside another thread that does the same.
    """
    with ONE_AT_A_TIME:
        return tuple(get_compiler_and_args()[1])
