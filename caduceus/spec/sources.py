"""Source files of a module and of all that it imports."""

import ast
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path


@lru_cache(maxsize=4)
def sources(module: str) -> tuple[Path, ...]:
    """Files of `module` and of everything in this package that it imports, sorted.

    An import counts wherever it stands, in a function or for type checking as well.

    Args:
        module: dotted name, such as `caduceus.study.points`.
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
    """File of a module of this package, or None."""
    package, *inside = module.split(".")
    if package != __name__.split(".")[0]:
        return None
    for end in range(len(inside) + 1):
        # A package is imported on the way; a name in it need not be a module.
        try:
            found = find_spec(".".join([package, *inside[:end]]))
        except ModuleNotFoundError:
            return None
    return Path(found.origin) if found and found.origin else None
