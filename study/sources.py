"""Which source files a module consists of: its own, and those of all that it imports."""

import ast
from functools import lru_cache
from pathlib import Path

from caduceus.repository import REPOSITORY


@lru_cache(maxsize=4)
def sources(module: str) -> tuple[Path, ...]:
    """Files of `module` and of everything in this repository that it imports, sorted.

    An import counts wherever it stands, in a function or for type checking as well.

    Args:
        module: dotted name, such as `study.points`.
    """
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = _file(waiting.pop())
        if path is None or path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                # What is imported from a package may be a module of its own.
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(sorted(found))


def _file(module: str) -> Path | None:
    """File of a module of this repository, or None."""
    place = REPOSITORY.joinpath(*module.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None
