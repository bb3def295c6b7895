"""What is listed: rules, neurons and tasks, one file each, found by listing their folder.

A file defines one function that makes the thing, every option with a default. Adding a thing is
adding a file to the folder; a file of the user's own, anywhere, is made known to one process by
`Folder.add`. What is wrong in such a file is said with its line. `listed` reads what is built in
from the files' text: nothing is run, so that a list does not wait for Brian2.
"""

import ast
import functools
import importlib
import importlib.util
import inspect
import keyword
import os
import pkgutil
import traceback
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from bioopzo.errors import BioopzoError, InputError, InterruptedRun, unknown

#: What an option chooses.
Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Folder:
    """A package of files that each define one thing.

    `word` is what such a thing is called in messages (``"rule"``), `package` the name of the
    package, `returns` the class that the function of a file returns. `function` is its name (empty:
    that of the file). `first` names its arguments without a default and says what they are. `tried`
    is what `add` calls it with to see that it works, or None where making one takes long. `check`
    is called with what was made and those arguments, and raises `InputError`. `helpers` are modules
    of the package that hold no such thing; `tools` hold one that is not listed. `added` is what the
    user made known: name -> function; `texts` is what stood in its file then.
    """

    word: str
    package: str
    returns: type
    function: str = ""
    first: Mapping[str, str] = field(default_factory=dict)
    tried: tuple[object, ...] | None = ()
    check: Callable[..., None] = lambda made, *arguments: None
    helpers: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    added: dict[str, Callable[..., Any]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def available(self) -> Mapping[str, Callable[..., Any]]:
        """What is known, built in and added: name -> the function that makes it."""
        return MappingProxyType({**_built_in(self.package, self.function, self.helpers),
                                 **self.added})

    def add(self, path: str | os.PathLike) -> str:
        """Make the thing in the file at `path` known to this process; returns its name.

        The file is run, as an import would. Raises `InputError` for a file that is missing, fails
        (with its line), has no such function, or has the name of one that is built in.
        """
        path, name = self._named(path)
        function = self._function_of(path)
        if self.tried is not None:
            self._made(function, self.tried, {})
        self.added[name] = function
        self.texts[name] = Path(path).read_text(encoding="utf-8")
        return name

    def text(self, name: str) -> str | None:
        """The text of the user's own file that defines the thing called `name`; else None."""
        return self.texts.get(name) if name in self.added else None

    def options(self, name: str) -> dict[str, object]:
        """The options of the thing called `name` with their defaults; `InputError` if unknown."""
        signature = inspect.signature(self._maker(name))
        return {key: option.default for key, option in signature.parameters.items()
                if key not in self.first}

    def get(self, name: str, *arguments: object, **chosen: object) -> Any:
        """The thing called `name`, made with its `arguments` and the options `chosen`.

        Raises `InputError` for an unknown name or option.
        """
        allowed = self.options(name)
        for key in chosen:
            if key not in allowed:
                raise unknown(f"option of {self.word} {name}", key, allowed)
        return self._made(self._maker(name), arguments, chosen)

    def _maker(self, name):
        if name in self.tools:
            return _defined(self.package, name, self.function)
        if str(name).endswith(".py"):
            raise InputError(f"{name!r} is a file: add it first, "
                             f"{self.word}={self.package}.add({str(name)!r})")
        known = self.available()
        if not isinstance(name, str) or name not in known:
            raise unknown(self.word, name, known)
        return known[name]

    def _named(self, path):
        """The resolved path of a user's file, and the name of what it makes."""
        if not isinstance(path, (str, os.PathLike)):
            raise InputError(f"a {self.word} is added by the path of its file, not by {path!r}")
        path = Path(path).expanduser().resolve()
        name = path.stem
        if path.suffix != ".py" or not name.isidentifier() or keyword.iskeyword(name) \
                or name.startswith("_"):
            raise InputError(f"a {self.word}'s file is named as Python names a module, e.g. "
                             f"my_{self.word}.py, not {path.name!r}")
        if name in _built_in(self.package, self.function, self.helpers):
            raise InputError(f"{path}: a built-in {self.word} is called {name!r}; give the file "
                             "another name")
        return path, name

    def _function_of(self, path):
        """The function of a user's file, which is run as if it lay in the folder."""
        name = self.function or path.stem
        function = self._run(path).get(name)
        if not inspect.isfunction(function):
            shown = ", ".join([*self.first, "option=default, ..."])
            raise InputError(f"{path}: there is no function {name}({shown}) in it")
        arguments = list(inspect.signature(function).parameters.values())
        for place, (argument, meaning) in enumerate(self.first.items()):
            if len(arguments) <= place or arguments[place].name != argument:
                raise InputError(f"{path}: the first argument of {name} is {argument}, {meaning}")
        for option in arguments[len(self.first):]:
            if option.kind not in (option.POSITIONAL_OR_KEYWORD, option.KEYWORD_ONLY):
                raise InputError(f"{path}: the options of {name} are named arguments, each with a "
                                 f"default, not {option}")
            if option.default is option.empty:
                raise InputError(f"{path}: option {option.name!r} of {name} needs a default")
        return function

    def _run(self, path):
        """The names that a user's file defines."""
        try:
            text = path.read_bytes()
        except OSError as problem:
            raise InputError(f"the {self.word} file {path} cannot be read: "
                             f"{problem.strerror}") from None
        # Not by import, which may take a file from its cache that was written again a moment ago.
        defined = {"__name__": f"{self.package}.{path.stem}", "__package__": self.package,
                   "__file__": str(path)}
        with _blamed(path):
            exec(compile(text, str(path), "exec"), defined)
        return defined

    def _made(self, function, arguments, chosen):
        """What a function of a file makes, or an `InputError` that names the file and the line."""
        path = Path(inspect.unwrap(function).__code__.co_filename)
        with _blamed(path, function in self.added.values()):
            made = function(*arguments, **chosen)
        if not isinstance(made, self.returns):
            shown = f"{function.__name__}({', '.join(self.first)})"
            raise InputError(f"{path}: {shown} must return a "
                             f"{self.package}.{self.returns.__name__}, not {made!r}")
        try:
            self.check(made, *arguments)
        except InputError as problem:
            raise InputError(f"{path}: {problem}") from None
        return made


@dataclass(frozen=True)
class Entry:
    """What a file says of the thing it defines: `about` in a line, its `source`, its `options`.

    `options` maps a name to its default, as it is written.
    """

    name: str
    about: str
    source: str
    options: Mapping[str, str]


def listed(package: str, function: str = "", returns: str = "") -> list[Entry]:
    """The things built in a `package` of files, as they say themselves; the package is not loaded.

    `function` is the name of what makes a thing (empty: that of the file). Where it returns
    ``Returns(name, about, source, ...)``, written out, `returns` is the name of that class; else
    `about` is the first line of the function's docstring.
    """
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    paths = sorted(path for folder in folders or () for path in Path(folder).glob("[!_]*.py"))
    return [entry for path in paths if (entry := _entry(path, function, returns))]


def _entry(path, function, returns):
    """The `Entry` of a file, None where it does not define the function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    made = next((node for node in tree.body if isinstance(node, ast.FunctionDef)
                 and node.name == (function or path.stem)), None)
    if made is None:
        return None
    about, source = (ast.get_docstring(made) or "").partition("\n")[0], ""
    for call in ast.walk(made):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == returns:
            about, source = map(_said, call.args[1:3])
    given = made.args.args[len(made.args.args) - len(made.args.defaults):]
    options = [*zip(given, made.args.defaults), *zip(made.args.kwonlyargs, made.args.kw_defaults)]
    return Entry(path.stem, about, source,
                 {option.arg: _said(value) for option, value in options if value})


def _said(node):
    """An expression as its value is printed, where it is written out, else as it is written."""
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


@functools.cache
def _built_in(package, function, helpers):
    """The functions of a package's files by name; a folder does not change while Python runs."""
    names = sorted(module.name for module in
                   pkgutil.iter_modules(importlib.import_module(package).__path__))
    return {name: _defined(package, name, function) for name in names
            if not name.startswith("_") and name not in helpers}


def _defined(package, name, function):
    return getattr(importlib.import_module(f"{package}.{name}"), function or name)


@contextmanager
def _blamed(path, users=True):
    """Within this context what fails is said to be of the file at `path`, and so is Ctrl-C.

    Where the file is not the `users`', Ctrl-C is left as it is.
    """
    try:
        yield
    except BioopzoError:
        raise
    except (Exception, SystemExit) as problem:
        raise _fault(path, problem) from problem
    except KeyboardInterrupt as problem:
        if not users:
            raise
        stop = InterruptedRun(f"{_place(path, problem)}: interrupted while this file was run, "
                              "before anything else")
        stop.number = getattr(problem, "number", stop.number)
        raise stop from None


def _fault(path, problem):
    """What failed in the user's file, and in which of its lines."""
    what = problem.msg if _is_syntax(path, problem) else str(problem)
    if isinstance(problem, MemoryError):
        what = what or "not enough memory"
    return InputError(f"{_place(path, problem)}: {type(problem).__name__}: {what}")


def _is_syntax(path, problem):
    return isinstance(problem, SyntaxError) and problem.filename == str(path)


def _place(path, problem):
    """The file and the line in it where a problem arose."""
    if _is_syntax(path, problem):
        places = [(problem.lineno, problem.text)]
    else:
        places = [(frame.lineno, frame.line) for frame in
                  traceback.extract_tb(problem.__traceback__) if frame.filename == str(path)]
    return f"{path}" + (f", line {places[-1][0]}, {(places[-1][1] or '').strip()!r}"
                        if places else "")


def choose(option: str, value: object, table: Mapping[Any, Choice]) -> Choice:
    """`table[value]`, or an `InputError` that names the option and what is allowed.

    `option` is the name of an option of a rule, a neuron or a task, `value` what was given for it.
    """
    if value not in list(table):  # which bears a value without a hash
        allowed = ", ".join(repr(key) for key in table)
        raise InputError(f"{option} is one of {allowed}, not {value!r}")
    return table[value]
