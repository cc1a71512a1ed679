"""YAML documents with a schema; the first fault of a document becomes one sentence."""

import re
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from caduceus.spec import yaml_values
from caduceus.spec.errors import UserError, named, shown


class Section(BaseModel):
    """Base of every schema: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Inconsistent(ValueError):
    """Values that are each in range but do not fit together."""

    def __init__(self, key: str, value: object, expected: str) -> None:
        super().__init__(f"{key}: got {shown(value)}, expected {expected}")


def demand(condition: bool, key: str, value: object, expected: str) -> None:
    """Raise `Inconsistent` unless `condition` holds; for use in model validators."""
    if not condition:
        raise Inconsistent(key, value, expected)


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The schemas that a field of this type can hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for arg in get_args(annotation) for found in _sections(arg)]


def _located(
    schema: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[list[int | str], type[BaseModel] | None]:
    """The keys of an error's location as in the document, and the section that holds it.

    Where a section is one of several kinds, a location names the kind, which no document does.
    """
    names: list[int | str] = []
    holder: type[BaseModel] | None = None
    models: list[type[BaseModel]] = [schema]
    for part in location:
        if len(models) > 1 and not isinstance(part, int):
            kinds = [model for model in models if _is_kind(model, part)]
            if kinds:
                models = kinds
                continue
        names.append(part)
        if isinstance(part, int):
            continue
        holder = models[0] if len(models) == 1 else None
        field = holder.model_fields.get(part) if holder else None
        models = _sections(field.annotation) if field else []
    return names, holder


def _is_kind(model: type[BaseModel], kind: str) -> bool:
    """Whether a section of this kind is described by `model`."""
    return any(kind in get_args(field.annotation) for field in model.model_fields.values())


_PYDANTIC = (
    (re.compile(r"^Input should be "), ""),
    (
        re.compile(r"^String should match pattern '\^\[a-z\]\[a-z0-9_\]\*\$'$"),
        "lower-case letters, digits and _, with a letter first",
    ),
    (re.compile(r"^String should match pattern "), "text that matches "),
    (re.compile(r"^\w+ should have (.*?)( after validation, not .*)?$"), r"\1"),
    (re.compile(r"^a valid (dictionary|instance) .*"), "a mapping of keys"),
    (re.compile(r"^a valid tuple$"), "a list"),
    (re.compile(r"^Keys should be strings$"), "text as a key"),
)
"""The beginnings of pydantic's messages, and what stands for them after "expected"."""


_EXPONENT = re.compile(r"^[-+]?[0-9]*\.?[0-9]*[eE][-+]?[0-9]+$")
"""Numbers in Python's notation, such as 1e-05: YAML 1.1 reads some of them as text."""


def _expected(message: str) -> str:
    """The expected value in one of pydantic's messages."""
    for pattern, replacement in _PYDANTIC:
        message = pattern.sub(replacement, message)
    return message


def _sentence(path: Path, schema: type[BaseModel], error: ValidationError) -> str:
    """One error of a validation: file, key path, value, what is expected.

    Another format version comes first, as it explains all others; then an unknown key: where one
    was mistyped, the right one is missing as well.
    """
    errors = error.errors(include_url=False)
    version = [each for each in errors if each["loc"] == ("format",) and each["type"] != "missing"]
    unknown = [each for each in errors if each["type"] == "extra_forbidden"]
    first = (version or unknown or errors)[0]
    names, section = _located(schema, first["loc"])
    key = ".".join(named(str(name)) for name in names)
    context = first.get("ctx", {})
    inner = context.get("error")
    if isinstance(inner, Inconsistent):
        prefix = f"{key}." if key else ""
        return f"{path}: {prefix}{inner}"
    if first["type"].startswith("union_tag"):
        key += "." + context["discriminator"].strip("'")
        if first["type"] == "union_tag_not_found":
            return f"{path}: {key} is missing"
        return f"{path}: {key}: got {shown(context['tag'])}, expected {context['expected_tags']}"
    if first["type"] == "extra_forbidden":
        known = ", ".join(section.model_fields) if section else ""
        expected = f": expected one of {known}" if known else ""
        return f"{path}: {key}: unknown key{expected}"
    if first["type"] == "missing":
        return f"{path}: {key} is missing"
    expected = _expected(first["msg"])
    if expected == "a valid number" and _EXPONENT.match(str(first["input"])):
        expected += "; with an exponent it has a point and a sign, as in 1.0e-5"
    return f"{path}: {key}: got {shown(first['input'])}, expected {expected}"


Schema = TypeVar("Schema", bound=BaseModel)


def load(path: Path | str, schema: type[Schema], what: str) -> Schema:
    """Read the YAML file at `path` as a `schema`; `what` names the kind of document in errors.

    Raises:
        UserError: the file cannot be read, is not YAML, exceeds a limit of
            `caduceus.spec.yaml_values`, or breaks the schema.
    """
    path = Path(path)
    document = yaml_values.load(path, what)
    if not isinstance(document, dict):
        raise UserError(f"{path}: {what}: got {shown(document)}, expected a mapping of keys")
    try:
        return schema.model_validate(document)
    except ValidationError as error:
        raise UserError(_sentence(path, schema, error)) from None
