"""Element-wise code on arrays (steps, batch, neurons): interpreted by NumPy, or compiled, fused.

A `Kernel` is a list of assignments that run in order for every step, sample and neuron; values
that outlast a step are carried in arrays. The expressions are the user's text; the renderers are
Brian2's own. The compiled form keeps one sample's values of all neurons in the fast cache while
it goes through the steps, so that memory is read and written once for all assignments.
"""

import ast
import ctypes
import functools
import hashlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.special
from brian2.parsing.rendering import CPPNodeRenderer, NumpyNodeRenderer

from bioopzo.errors import BuildError
from bioopzo.text.equations import PARSING, identifiers, substitute
from bioopzo.text.functions import FUNCTIONS

FLAGS = ("-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno",
         "-fno-trapping-math", "-D__FAST_MATH__", "-shared", "-fPIC", "-std=c++17")
_PRELUDE = r"""
#include <cmath>
#define KERNEL extern "C" void
typedef REAL real;
static inline real f_int(bool x) { return x ? (real)1 : (real)0; }
static inline real f_int(real x) { return TRUNC(x); }
static inline real f_clip(real x, real low, real high) {
    real y = x < low ? low : x;
    return y > high ? high : y;
}
static inline real f_abs(real x) { return x < 0 ? -x : x; }
static inline real f_sign(real x) { return (real)((x > 0) - (x < 0)); }
static inline real f_exprel(real x) { return x == 0 ? (real)1 : CALL(expm1)(x)/x; }
template <class P> static inline real _brian_pow(real x, P p) {
    return p == 2 ? x*x : p == 1 ? x : p == -1 ? 1/x : p == (P)0.5 ? CALL(sqrt)(x)
           : CALL(pow)(x, (real)p);
}
static inline real _brian_floordiv(real x, real y) { return CALL(floor)(x/y); }
static inline real _brian_mod(real x, real y) { return x - y*CALL(floor)(x/y); }
"""
_PLAIN = ("exp", "log", "log10", "sqrt", "sin", "cos", "tan", "tanh", "sinh", "cosh", "floor",
          "ceil", "erf", "log1p", "expm1")
_NAMES = {"arcsin": "asin", "arccos": "acos", "arctan": "atan"}
_OWN = ("int", "clip", "abs", "sign", "exprel")


@dataclass(frozen=True)
class Assignment:
    """``name = code``, kept from `previous` in the steps in which the scalar `gate` is zero."""

    name: str
    code: str
    gate: str = ""
    previous: str = ""


@dataclass(frozen=True)
class Kernel:
    """Assignments on a group's arrays.

    `inputs` names of arrays (steps, batch, neurons), any dimension of which may be broadcast;
    `narrow` those of them with one value for all neurons; `courses` names of numbers that change
    with the step, `constants` of numbers that do not; `carried` (name, source): name is the value
    of the step before, source what replaces it; `outputs` names of what others read.
    """

    name: str
    assignments: tuple
    inputs: tuple = ()
    narrow: frozenset = frozenset()
    courses: tuple = ()
    constants: tuple = ()
    carried: tuple = ()
    outputs: tuple = ()


# ---------------------------------------------------------------------------- NumPy

def _int(x):
    # Not float32: with a number beside it, NumPy would go on in single precision.
    x = np.asarray(x)
    return x.astype(float) if x.dtype == bool else np.trunc(x)


_NAMESPACE = {
    **{name: getattr(np, name) for name in (
        "exp", "log", "log10", "sqrt", "sin", "cos", "tan", "tanh", "sinh", "cosh", "sign", "clip",
        "floor", "ceil", "arcsin", "arccos", "arctan", "log1p", "expm1", "logical_and",
        "logical_or", "logical_not", "where", "pi", "inf")},
    "abs": np.abs, "int": _int, "erf": scipy.special.erf, "exprel": scipy.special.exprel,
    "e": np.e, "True": True, "False": False,
}


def evaluate(code, values):
    """An expression of the text on arrays, by NumPy."""
    with np.errstate(all="ignore"):
        return eval(_prepared(code), _NAMESPACE, values)


@functools.cache
def _prepared(code):
    return compile(_numpy(code), f"<{code}>", "eval")


class Interpreted:
    """A kernel as NumPy calls, an assignment at a time."""

    def __init__(self, kernel, dtype):
        self.kernel, self.dtype = kernel, dtype
        lines = [f"    {a.name} = " + (f"where({a.gate} != 0, {_numpy(a.code)}, {a.previous})"
                                       if a.gate else _numpy(a.code)) for a in kernel.assignments]
        arguments = [*kernel.inputs, *kernel.courses, *kernel.constants,
                     *(name for name, _ in kernel.carried)]
        results = [*kernel.outputs, *(source for _, source in kernel.carried)]
        source = "\n".join([f"def step({', '.join(arguments)}):", *lines,
                            f"    return [{', '.join(results)}]"])
        namespace = {**_NAMESPACE, "int": lambda x: _int(x).astype(dtype)}
        exec(compile(source, f"<{kernel.name}>", "exec"), namespace)
        self.step = namespace["step"]

    def __call__(self, steps, inputs, courses, constants, carried, outputs):
        """Run all `steps`; see `Compiled.__call__`."""
        with np.errstate(all="ignore"):
            if carried:
                for t in range(steps):
                    found = self.step(*(x[t if len(x) > 1 else 0] for x in inputs),
                                      *(float(c[t]) for c in courses), *constants, *carried)
                    for place, value in zip(outputs, found):
                        place[t] = value
                    for place, value in zip(carried, found[len(outputs):]):
                        place[...] = value
            else:
                found = self.step(*inputs, *(np.asarray(c, self.dtype).reshape(-1, 1, 1)
                                             for c in courses), *constants)
                for place, value in zip(outputs, found):
                    place[...] = value


@functools.cache
def _numpy(code):
    with PARSING:
        return NumpyNodeRenderer().render_expr(code)


# ---------------------------------------------------------------------------- compiled

def _cpp(code):
    table = {name: f"CALL({name})" for name in _PLAIN}
    table |= {old: f"CALL({new})" for old, new in _NAMES.items()}
    table |= {name: f"f_{name}" for name in _OWN}
    table |= {"pi": "(real)3.14159265358979323846", "e": "(real)2.71828182845904523536"}
    text = CPPNodeRenderer().render_expr(code)
    found = {word: table[word] for word in identifiers(text) & set(table)}
    return substitute(text, found).replace("1.0f*", "(real)1*")


class _Invariant(ast.NodeTransformer):
    """Moves what only numbers go into out of the loop over neurons."""

    def __init__(self, numbers):
        self.numbers, self.moved = numbers, {}

    def generic_visit(self, node):
        compound = isinstance(node, (ast.BinOp, ast.Call, ast.UnaryOp))
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - set(FUNCTIONS)
        if compound and names and names <= self.numbers:
            name = self.moved.setdefault(ast.unparse(node), f"h{len(self.moved)}")
            return ast.Name(name, ast.Load())
        return super().generic_visit(node)


def source(kernel):
    """The C++ function of a kernel."""
    invariant = _Invariant(set(kernel.constants) | set(kernel.courses))
    kernel = replace(kernel, assignments=tuple(
        replace(a, code=ast.unparse(invariant.visit(ast.parse(a.code, mode="eval"))))
        for a in kernel.assignments))
    used = set().union(*(identifiers(a.code) | {a.gate, a.previous} for a in kernel.assignments),
                       {s for _, s in kernel.carried}, set(kernel.outputs))
    head, row, load, store = [], [], [], []
    for k, name in enumerate(kernel.constants):
        head.append(f"const real {name} = (real)constants[{k}];")
    for k, name in enumerate(kernel.courses):
        row.append(f"const real {name} = (real)courses[{k}*steps + t];")
    row += [f"const real {name} = {_cpp(code)};" for code, name in invariant.moved.items()]
    for k, name in enumerate(kernel.inputs):
        place = f"inputs[{k}] + t*strides[{2*k}] + b*strides[{2*k + 1}]"
        if name in kernel.narrow:
            row.append(f"const real {name} = *({place});")
        else:
            row.append(f"const real* __restrict__ p_{name} = {place};")
            load.append(f"const real {name} = p_{name}[j];")
    for k, (name, replaced) in enumerate(kernel.carried):
        row.append(f"real* __restrict__ p_{name} = carried[{k}] + b*n;")
        if name in used:
            load.append(f"const real {name} = p_{name}[j];")
        store.append(f"p_{name}[j] = {replaced};")
    for k, name in enumerate(kernel.outputs):
        row.append(f"real* __restrict__ q_{name} = outputs[{k}] + (t*batch + b)*n;")
        store.append(f"q_{name}[j] = {name};")
    body = [f"const real {a.name} = " + (f"{a.gate} != 0 ? (real)({_cpp(a.code)}) : {a.previous};"
                                         if a.gate else f"{_cpp(a.code)};")
            for a in kernel.assignments]
    inner = "\n            ".join(load + body + store)
    return f"""
KERNEL {kernel.name}(long steps, long batch, long n, const real* const* inputs,
                     const long* strides, const double* courses, const double* constants,
                     real* const* carried, real* const* outputs) {{
    {" ".join(head)}
    for (long b = 0; b < batch; b++) for (long t = 0; t < steps; t++) {{
        {" ".join(row)}
        #pragma GCC ivdep
        for (long j = 0; j < n; j++) {{
            {inner}
        }}
    }}
}}
"""


class Compiled:
    """A kernel of a compiled library; called like `Interpreted`."""

    def __init__(self, function, kernel, dtype):
        self.function, self.kernel, self.dtype = function, kernel, np.dtype(dtype)

    def __call__(self, steps, inputs, courses, constants, carried, outputs):
        """Run all `steps`.

        `inputs` arrays (steps or 1, batch or 1, n or 1); `courses` sequences of `steps` numbers;
        `carried` arrays (batch, n), changed in place; `outputs` arrays (steps, batch, n), filled.
        """
        size = self.dtype.itemsize
        pointers = (ctypes.c_void_p * max(1, len(inputs)))(*(x.ctypes.data for x in inputs))
        strides = np.zeros((max(1, len(inputs)), 2), np.int64)
        for k, x in enumerate(inputs):
            strides[k] = [x.strides[a]//size if x.shape[a] > 1 else 0 for a in (0, 1)]
        table = np.ascontiguousarray(courses, np.float64) if courses else np.zeros(1)
        values = np.array(constants, np.float64) if constants else np.zeros(1)
        shape = (outputs[0].shape[1:] if outputs else carried[0].shape)
        kept = (ctypes.c_void_p * max(1, len(carried)))(*(x.ctypes.data for x in carried))
        made = (ctypes.c_void_p * max(1, len(outputs)))(*(x.ctypes.data for x in outputs))
        self.function(steps, shape[0], shape[1], pointers, strides.ctypes.data_as(
            ctypes.c_void_p), table.ctypes.data_as(ctypes.c_void_p),
            values.ctypes.data_as(ctypes.c_void_p), kept, made)


def compile_all(kernels, dtype, directory, compiler):
    """Every kernel compiled: name -> `Compiled`. The library is kept in `directory` by its text.

    Raises `BuildError` with the compiler's words when it refuses.
    """
    single = np.dtype(dtype) == np.float32
    suffix = "f" if single else ""
    text = "".join([f"#define REAL {'float' if single else 'double'}\n",
                    f"#define CALL(name) __builtin_##name{'##f' if single else ''}\n",
                    f"#define TRUNC(x) __builtin_trunc{suffix}(x)\n", _PRELUDE,
                    *map(source, kernels)])
    flags = FLAGS + (("-fsingle-precision-constant",) if single else ())
    identity = hashlib.sha256(repr((text, flags, compiler, _processor())).encode()).hexdigest()
    library = Path(directory) / f"{identity[:20]}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent, prefix=".kernels-") as folder:
            (Path(folder) / "kernels.cpp").write_text(text)
            done = subprocess.run([compiler, *flags, "kernels.cpp", "-o", "kernels.so", "-lm"],
                                  cwd=folder, capture_output=True, text=True)
            if done.returncode:
                raise BuildError(f"the compiler refused the element-wise code: "
                                 f"{done.stderr[-2000:]}")
            os.replace(Path(folder) / "kernels.so", library)
    loaded = ctypes.CDLL(str(library))
    found = {}
    for kernel in kernels:
        function = getattr(loaded, kernel.name)
        function.restype = None
        function.argtypes = [ctypes.c_long]*3 + [ctypes.c_void_p]*6
        found[kernel.name] = Compiled(function, kernel, dtype)
    return found


def _processor():
    """What -march=native depends on."""
    try:
        return re.search(r"flags.*", Path("/proc/cpuinfo").read_text())[0]
    except (OSError, TypeError):
        return ""
