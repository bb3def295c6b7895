"""Brian2 as the tests have it: what it does for a hundred networks in a process, in less time.

Nothing here changes what Brian2 generates or computes; `test_tests_train_as_users_do` compares.
"""

import functools
import inspect
import linecache
import logging
import re
import sys
import types
import weakref

import brian2
from brian2.codegen import translation
from brian2.codegen.generators import base
from brian2.codegen.runtime.numpy_rt import NumpyCodeObject, numpy_rt
from brian2.core import names
from brian2.core.clocks import Clock
from brian2.core.functions import Function
from brian2.core.preferences import BrianGlobalPreferences
from brian2.core.variables import ArrayVariable, Subexpression
from brian2.devices.device import RuntimeDevice
from brian2.equations.equations import Equations, check_identifier_basic

#: Brian2's own, without a memo.
PLAIN = inspect.unwrap(translation.make_statements)
_WORDS = functools.lru_cache(4096)(re.compile(r"[A-Za-z_]\w*").findall)
MAKE = RuntimeDevice.code_object
_STATEMENTS: dict = {}
_TEXTS: dict = {}
_NAMED: dict = {}


def make_statements(code, variables, dtype, optimise=True, blockname=""):
    """Brian2's statements, kept by what they depend on of the variables.

    Brian2 keeps them by all that is known of all variables: to look that up takes longer than to
    make them anew. They follow the kinds of the variables in the code, and all subexpressions.
    """
    prefs = brian2.prefs.codegen, brian2.prefs.core
    words = set(_WORDS(code))
    for name, variable in variables.items():
        if isinstance(variable, Subexpression):
            words |= {name, *variable.identifiers}
    key = (code, dtype, optimise, blockname, prefs[0].loop_invariant_optimisations,
           prefs[1].default_float_dtype, tuple(
               (name, *_kind(variables[name])) for name in variables if name in words))
    if key not in _STATEMENTS:
        if len(_STATEMENTS) > 20000:
            _STATEMENTS.clear()
        _STATEMENTS[key] = PLAIN(code, variables, dtype, optimise, blockname)
    return _STATEMENTS[key]


def _kind(variable):
    """What statements depend on of a variable or function."""
    if isinstance(variable, Function):
        return (type(variable), variable.stateless, variable.auto_vectorise,
                tuple(variable._arg_types), variable._return_type)
    return (type(variable), variable.dtype, variable.scalar, getattr(variable, "expr", None))


def code_object(self, owner, name, abstract_code, variables, template_name, variable_indices,
                codeobj_class=None, template_kwds=None, override_conditional_write=None,
                compiler_kwds=None):
    """Brian2's code object; NumPy's text of it is kept by what it depends on of the variables.

    That is their kinds and where they lie: not what they hold, nor how many there are.
    """
    kind, options = self.code_object_class(codeobj_class), template_kwds or {}
    if kind is not NumpyCodeObject or not all(
            isinstance(value, str | bool | int | None) for value in options.values()):
        return MAKE(self, owner, name, abstract_code, variables, template_name, variable_indices,
                    codeobj_class, template_kwds, override_conditional_write, compiler_kwds)
    key = (template_name, *abstract_code.items(), *options.items(),
           *sorted(override_conditional_write or ()), brian2.prefs.core.default_float_dtype,
           *((word, variable_indices[word], _place(self, variable), *_kind(variable))
             for word, variable in variables.items()))
    if key not in _TEXTS:
        made = MAKE(self, owner, name, abstract_code, variables, template_name, variable_indices,
                    codeobj_class, template_kwds, override_conditional_write, compiler_kwds)
        _TEXTS[key] = made.code
        return made
    made = kind(owner, _TEXTS[key], variables, variable_indices, template_name=template_name,
                template_source=getattr(kind.templater, template_name).template_source,
                name=find_name(name), compiler_kwds=compiler_kwds or {})
    made.compile()
    return made


def _place(device, variable):
    """Where a variable lies, and what else code asks of it; None where it is no array."""
    if not isinstance(variable, ArrayVariable):
        return None
    guard = variable.conditional_write
    return (device.get_array_name(variable), variable.unique, guard and guard.name)


def find_name(name, taken=None):
    """A free name: Brian2 asks all that is alive for its name at every new object."""
    if not name.endswith("*"):
        return name
    name, number = name[:-1], 0
    if taken is None:
        alive = names.Nameable.__instances__()
        taken = _Taken(alive)
    while (tried := f"{name}_{number}" if number else name) in taken:
        number += 1
    return tried


class _Taken:
    """The names of what is among those `alive`."""

    def __init__(self, alive):
        self.alive = alive

    def __contains__(self, name):
        return any((thing := one()) is not None and one in self.alive and thing._name == name
                   for one in _NAMED.get(name, ()))


def _init(self, name, before=names.Nameable.__init__):
    before(self, name)
    if (own := weakref.ref(self)) not in (kept := _NAMED.setdefault(self._name, [])):
        kept[:] = [one for one in kept if one() is not None] + [own]


def _callers():
    """Who called whom to make an object, the next twelve: a message names one of us.

    Python looks at every file on the disk to tell whether its lines are still those that run.
    """
    frame, found = sys._getframe(2), []
    while frame and len(found) < 12:
        code, number = frame.f_code, frame.f_lineno
        found.append((code.co_filename, number, code.co_name,
                      linecache.getline(code.co_filename, number).strip()))
        frame = frame.f_back
    return found[::-1]


def install():
    """From now on; what Brian2 does beside, for a user who looks for a mistake, is left out."""
    for module in (translation, base):
        module.make_statements = make_statements
    RuntimeDevice.code_object = code_object
    names.Nameable.__init__ = _init
    for module in ("core.names", "devices.device", "groups.group"):
        sys.modules[f"brian2.{module}"].find_name = find_name
    Equations.identifier_checks = {  # a grammar for every name
        functools.cache(check) if check is check_identifier_basic else check
        for check in Equations.identifier_checks}
    logging.getLogger("brian2").setLevel(logging.INFO)  # a line in a file for each object and code
    Clock.__repr__ = object.__repr__  # of the line that is not written
    BrianGlobalPreferences.get_documentation = lambda *_, **__: ""  # at every look at a preference
    brian2.core.base.traceback = types.SimpleNamespace(extract_stack=_callers)
    numpy_rt.compile = functools.cache(compile)  # the same text in the same network
