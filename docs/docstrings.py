"""Docstrings as pages in Markdown."""

import importlib
import inspect
import re


def reference_page(name: str, module: str) -> str:
    """The reference of a module: every public name with its docstring."""
    held = importlib.import_module(module)
    shown = {public: getattr(held, public) for public in getattr(held, "__all__", None) or
             [key for key, value in vars(held).items() if inspect.isfunction(value)
              and value.__module__ == module and not key.startswith("_")]}
    page = [f"# {'bioopzo' if module == 'bioopzo' else f'bz.{name}'}\n",
            prose(inspect.getdoc(held)), ""]
    constants = []
    errors_last = sorted(shown.items(), key=lambda pair: inspect.isclass(pair[1])
                         and issubclass(pair[1], Exception))
    for public, value in errors_last:
        if inspect.ismodule(value):
            continue
        if inspect.isclass(value) or callable(value):
            page += [f"## {public}\n", "```python", f"{public}{_signature(value)}", "```\n",
                     _docstring(value), ""]
            page += _members(value) if inspect.isclass(value) else []
        else:
            constants.append(public)
    if constants:
        page += ["## Constants\n", code(constants)]
    return "\n".join(page)


def _signature(value):
    try:
        signature = inspect.signature(value)
    except ValueError:
        return "(...)"
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()
            if p.name != "self"]
    text = str(signature.replace(parameters=bare, return_annotation=signature.empty))
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def _members(value):
    own = [base for base in reversed(value.__mro__) if base.__module__.startswith("bioopzo")]
    for name, member in {key: member for base in own for key, member in vars(base).items()}.items():
        function = getattr(member, "__func__", member)
        if not name.startswith("_") and (inspect.isfunction(function)
                                         or isinstance(function, property)):
            yield (f"### {value.__name__}.{name}\n" if isinstance(function, property) else
                   f"### {value.__name__}.{name}\n\n```python\n{name}{_signature(function)}\n```\n")
            yield _docstring(function) + "\n"


def _docstring(value):
    """A docstring in Markdown; its sections become bold lines, examples code."""
    text = inspect.getdoc(value) or ""
    text = re.sub(r"^(\w+)\n-{3,}$", r"\n**\1**\n", text, flags=re.M)
    return re.sub(r"^\\\*\\\*(\w+)\\\*\\\*$", r"**\1**", prose(text), flags=re.M)


# ---------------------------------------------------------------------------- text

def prose(text):
    """A docstring's paragraphs as Markdown: stars are no emphasis, indented parts are code."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", text or ""):
        lines = paragraph.split("\n")
        if ">>>" in paragraph:
            parts.append("```pycon\n" + "\n".join(lines) + "\n```")
        elif lines[0].startswith("    ") and all(line.startswith("    ") for line in lines):
            parts.append("```text\n" + "\n".join(line[4:] for line in lines) + "\n```")
        elif any(line.startswith("    ") for line in lines) and not lines[0].startswith(" "):
            parts.append("\n".join(f"- {md(line)}" if not line.startswith(" ") else
                                   f"  {md(line.strip())}" for line in lines))
        else:
            parts.append("\n".join(md(line) for line in lines))
    return "\n\n".join(parts)


def md(text):
    """Plain text of a docstring or table as Markdown: marks outside code stand for themselves."""
    pieces = re.split(r"(``.+?``|`[^`]+`)", text)
    return "".join(piece if piece.startswith("`") else
                   re.sub(r"([*<\[\]$|])", r"\\\1", piece) for piece in pieces)


def sentence(text):
    """A text with a capital, as Markdown."""
    return md(text[:1].upper() + text[1:])


def code(names):
    """Names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)
