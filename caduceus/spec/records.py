"""Dataclasses as JSON values with arrays beside them, and back, strictly checked.

The dataclass is the schema: every field is a key, none may be missing or left over, and no type
is converted. Fields may be int, float, bool, str, an enumeration, a `Literal`, another
dataclass of this kind, an array of one type of numbers, a tuple of any length of these, or None if
the type allows it. In place of an array the JSON value has its shape; its numbers,
little-endian and row by row, follow those of the arrays before it, in the order of the fields.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from math import isfinite, prod
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from caduceus.spec.errors import UserError, named

_Record = TypeVar("_Record")
_hints = cache(get_type_hints)
_INTEGERS = range(-(1 << 63), 1 << 64)
"""So that no number is longer than a sentence about it."""
_NUMBERS_MAX = 1 << 40


def to_json(record: object, arrays: list[bytes]) -> Any:
    """JSON value of `record`; the bytes of its arrays are appended to `arrays`.

    Integers and truth values may be NumPy's.
    """
    if isinstance(record, np.ndarray):
        arrays.append(np.ascontiguousarray(record, _little(record.dtype)).tobytes())
        return list(record.shape)
    if is_dataclass(record):
        return {each.name: to_json(getattr(record, each.name), arrays) for each in fields(record)}
    if isinstance(record, tuple):
        return [to_json(each, arrays) for each in record]
    if isinstance(record, Enum):
        return record.value
    return record.item() if isinstance(record, np.generic) else record


def from_json(kind: type[_Record], value: object, arrays: bytes | memoryview) -> _Record:
    """The record of type `kind` that `to_json` made `value` and `arrays` of.

    Raises:
        UserError: a key is missing, unknown, or of another type, or the arrays are shorter or
            longer than the shapes say.
    """
    reader = _Reader(arrays)
    found = reader.read(kind, value, ())
    if reader.place != len(arrays):
        raise UserError(f"bytes after the last array: got {len(arrays) - reader.place}, expected 0")
    return found


def _little(dtype: np.dtype) -> np.dtype:
    return dtype.newbyteorder("<")


def _refuse(at: tuple[str | int, ...], expected: str) -> UserError:
    return UserError(f"{'.'.join(map(str, at)) or 'header'}: expected {expected}")


@dataclass
class _Reader:
    """Reads records; `place` is how far it is in the arrays."""

    arrays: bytes | memoryview
    place: int = 0

    def read(self, kind: Any, value: object, at: tuple[str | int, ...]) -> Any:
        """What `value` says, of type `kind`; `at` are the keys that lead to it."""
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (types.UnionType, Union):
            (other,) = (each for each in arguments if each is not type(None))
            return None if value is None else self.read(other, value, at)
        if origin is np.ndarray:
            return self._array(np.dtype(get_args(arguments[1])[0]), value, at)
        if origin is tuple:
            if not isinstance(value, list):
                raise _refuse(at, "a list")
            return tuple(self.read(arguments[0], each, (*at, n)) for n, each in enumerate(value))
        if origin is Literal:
            if value not in arguments:
                raise _refuse(at, " or ".join(map(repr, arguments)))
            return value
        if is_dataclass(kind):
            return self._record(kind, value, at)
        if isinstance(kind, type) and issubclass(kind, Enum):
            values = [each.value for each in kind]
            if value not in values:
                raise _refuse(at, " or ".join(map(repr, values)))
            return kind(value)
        wanted, expected = _PLAIN[kind]
        if not wanted(value):
            raise _refuse(at, expected)
        return value

    def _record(self, kind: Any, value: object, at: tuple[str | int, ...]) -> Any:
        if not isinstance(value, Mapping):
            raise _refuse(at, "a mapping of keys")
        names = [each.name for each in fields(kind)]
        for key in value:
            if key not in names:
                raise UserError(
                    f"{'.'.join(map(str, (*at, named(key))))}: unknown key: expected one of "
                    f"{', '.join(names)}"
                )
        hints, found = _hints(kind), {}
        for name in names:
            if name not in value:
                raise UserError(f"{'.'.join(map(str, (*at, name)))} is missing")
            found[name] = self.read(hints[name], value[name], (*at, name))
        return kind(**found)

    def _array(self, dtype: np.dtype, value: object, at: tuple[str | int, ...]) -> NDArray:
        """An array of its own."""
        sizes = isinstance(value, list) and all(_is_integer(each) and each >= 0 for each in value)
        # NumPy counts the numbers of an array without any by its other sizes.
        if not sizes or not value or prod(each or 1 for each in value) > _NUMBERS_MAX:
            raise _refuse(at, "the shape of an array")
        count = prod(value)
        end = self.place + count * dtype.itemsize
        if end > len(self.arrays):
            raise UserError(
                f"{'.'.join(map(str, at))}: bytes left for the array: got "
                f"{len(self.arrays) - self.place}, expected {end - self.place}"
            )
        found = np.frombuffer(self.arrays[self.place : end], _little(dtype))
        self.place = end
        return found.astype(dtype).reshape(value)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in _INTEGERS


def _is_text(value: object) -> bool:
    """Whether it is text that can be written: half of a surrogate pair is none."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: object) -> bool:
    return _is_integer(value) or (isinstance(value, float) and isfinite(value))


_PLAIN: Mapping[type, tuple[Callable[[object], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "a valid boolean"),
    int: (_is_integer, "a valid integer"),
    float: (_is_number, "a valid number"),
    str: (_is_text, "a valid string"),
}
