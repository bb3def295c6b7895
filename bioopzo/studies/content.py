"""What is kept of a study: ``NAME.json``, with the images beside it where there are any."""

import hashlib
import json
from pathlib import Path

IMAGES = (".png", ".pdf")


def read(path):
    """The numbers in the data file at `path`, with what was noted beside them, as one dict.

    Files from before there were keys hold no more than that.
    """
    content = json.loads(Path(path).read_text())
    return flat(content) if "keys" in content else content


def flat(content):
    """The data of a `content` with keys, and its parameters, times, versions and words."""
    noted = {k: v for k, v in content.items() if k not in ("data", "keys", "files")}
    return {**noted, **content["data"]}


def kept(stem):
    """The content of the study at `stem` (a path without ending), or None where none has keys."""
    try:
        content = json.loads(beside(stem, ".json").read_text())
        return content if all(content[k] for k in ("keys", "parameters", "data")) \
            and "files" in content else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def images(stem):
    """Digests of the images at `stem`: those that do not belong to the data are drawn again."""
    return {suffix: digest(beside(stem, suffix).read_bytes()) for suffix in IMAGES
            if beside(stem, suffix).is_file()}


def digest(content):
    """A hash of bytes, as hexadecimal text."""
    return hashlib.sha256(content).hexdigest()


def beside(stem, suffix):
    """The path `stem` with an ending, `suffix`."""
    return stem.with_name(stem.name + suffix)
