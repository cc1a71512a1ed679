"""Source files of a module and of all that it imports."""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|.*)|import[ \t]+(.*))", re.MULTILINE
)
"""An import statement. A search takes a hundredth of the time that Python's parser takes; it finds
one in a text, too, which may add a file."""
_NAME = re.compile(r"(?:^|[,(])\s*([\w.]+)")
"""A name in a list of them, without what it is imported as."""


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
        waiting += imported(path.read_text(encoding="utf-8"))
    return tuple(sorted(found))


def imported(text: str) -> Iterator[str]:
    """Dotted names of the modules that a source imports, or may import."""
    for package, names, modules in _IMPORT.findall(text):
        if not package:
            yield from _NAME.findall(modules)
            continue
        yield package
        # What is imported from a package may be a module of its own.
        for name in _NAME.findall(re.sub(r"#.*", "", names)):
            yield f"{package}.{name}"


def _file(module: str) -> Path | None:
    """File of a module of this package, or None; imports nothing but the package."""
    package, *inside = module.split(".")
    if package != __name__.split(".")[0]:
        return None
    spec = _spec(".".join([package, *inside[:1]]))
    if spec is None or spec.origin is None:
        return None
    if len(inside) < 2:
        return Path(spec.origin)
    if spec.submodule_search_locations is None:
        return None
    folder = Path(spec.origin).parent.joinpath(*inside[1:-1])
    places = folder / f"{inside[-1]}.py", folder / inside[-1] / "__init__.py"
    return next((place for place in places if place.is_file()), None)


@cache
def _spec(name: str) -> ModuleSpec | None:
    return find_spec(name)
