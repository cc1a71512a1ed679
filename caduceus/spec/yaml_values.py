"""Values of a YAML file: mappings with text as keys, lists, text, numbers, booleans and null.

Any bytes give a value or one `UserError`. PyYAML parses the file into events; values are made here,
so that every limit below is checked before memory is taken, and every fault has a line. Refused:
anchors and aliases, tags of other types, directives, a second document, a key that occurs twice.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from caduceus.spec.errors import UserError, shown
from caduceus.spec.files import read_text

BYTES_MAX = 1 << 19
"""Size of the largest file."""
DEPTH_MAX = 16
"""Levels of nested lists and mappings."""
VALUES_MAX = 20_000
"""Values and keys of a file."""
NUMBER_MAX = 64
"""Characters of the longest number."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    _TAG + "null": ("null", yaml.SafeLoader.construct_yaml_null),
    _TAG + "bool": ("true or false", yaml.SafeLoader.construct_yaml_bool),
    _TAG + "int": ("an integer", yaml.SafeLoader.construct_yaml_int),
    _TAG + "float": ("a number", yaml.SafeLoader.construct_yaml_float),
    _TAG + "str": ("text", yaml.SafeLoader.construct_yaml_str),
}
_NUMBERS = (_TAG + "int", _TAG + "float")
_COLLECTIONS = {yaml.SequenceStartEvent: _TAG + "seq", yaml.MappingStartEvent: _TAG + "map"}
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)


def load(path: Path, what: str) -> Any:
    """The value of the YAML file at `path`, lists as tuples; `what` names its kind in errors.

    Raises:
        UserError: the file cannot be read, is not YAML, or exceeds a limit of this module.
    """
    text = read_text(path, what, BYTES_MAX)
    for pattern, fault in (
        (yaml.reader.Reader.NON_PRINTABLE, "got character U+{0:04X}, expected printable ones"),
        (_DIRECTIVE, "got a directive (%), expected none"),
    ):
        found = pattern.search(text)
        if found:
            line = text.count("\n", 0, found.start()) + 1
            raise UserError(f"{path}: line {line}: {fault.format(ord(found[0]))}")
    return _Document(path, text).value()


class _Document:
    """Makes the value of one document of its events, in one pass."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._events = self._parsed(text)
        self._scalars = yaml.SafeLoader("")
        self._values = 0
        self._line = 1

    def value(self) -> Any:
        """The document's value; None of an empty one."""
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        found = self._value(next(self._events), 0)
        next(self._events)
        if not isinstance(next(self._events), yaml.StreamEndEvent):
            raise self._refusal("got a second document, expected one")
        return found

    def _parsed(self, text: str) -> Iterator[yaml.Event]:
        """The events; what the parser raises becomes a sentence."""
        try:
            for event in yaml.parse(text, Loader=_LOADER):
                self._line = event.start_mark.line + 1
                yield event
        except yaml.MarkedYAMLError as error:
            if error.problem_mark:
                self._line = error.problem_mark.line + 1
                line = "".join(text.splitlines()[self._line - 1 : self._line])
                if line[error.problem_mark.column :].startswith("\t"):
                    raise self._refusal("not YAML: got a tab, expected spaces") from None
            raise self._refusal(f"not YAML: {error.problem}") from None
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
            # ValueError: PyYAML's own scanner, of an escape that names no character.
            raise self._refusal("not YAML: cannot be parsed") from None

    def _refusal(self, fault: str) -> UserError:
        return UserError(f"{self._path}: line {self._line}: {fault}")

    def _value(self, event: yaml.Event, depth: int) -> Any:
        """The value that starts with `event`, inside of `depth` lists and mappings."""
        self._values += 1
        if self._values > VALUES_MAX:
            raise self._refusal(f"more values than a file may hold: expected at most {VALUES_MAX}")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            raise self._refusal(
                f"got {shown(sign + event.anchor)}, expected no anchor (&) and no alias (*)"
            )
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        wanted = _COLLECTIONS[type(event)]
        if event.tag not in (None, "!", wanted):
            raise self._refusal(f"tag: got {shown(event.tag)}, expected none")
        if depth == DEPTH_MAX:
            raise self._refusal(f"nested lists and mappings: expected at most {DEPTH_MAX} levels")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(depth + 1)
        found = []
        while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(inner, depth + 1))
        return tuple(found)

    def _mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = self._line
            key = self._value(event, depth)
            self._line = line
            if not isinstance(key, str):
                raise self._refusal(f"key: got {shown(key)}, expected text")
            if key in found:
                raise self._refusal(f"key {shown(key)} occurs twice")
            found[key] = self._value(next(self._events), depth)
        return found

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        tag = event.tag
        if tag in (None, "!"):
            tag = self._scalars.resolve(yaml.ScalarNode, event.value, event.implicit)
            # A date, a merge (<<) or a default (=) of YAML's is text here.
            tag = tag if tag in _SCALARS else _TAG + "str"
        if tag not in _SCALARS:
            raise self._refusal(f"tag: got {shown(tag)}, expected none")
        kind, construct = _SCALARS[tag]
        if tag in _NUMBERS and len(event.value) > NUMBER_MAX:
            raise self._refusal(
                f"got {kind} of {len(event.value)} characters, expected at most {NUMBER_MAX}"
            )
        try:
            event.value.encode()  # not so for half of a surrogate pair, which "\\ud800" gives
            return construct(self._scalars, yaml.ScalarNode(tag, event.value))
        except (ValueError, LookupError, TypeError, OverflowError, AttributeError):
            raise self._refusal(f"got {shown(event.value)}, expected {kind}") from None
