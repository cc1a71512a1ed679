"""YAML documents with a schema: read, and what is wrong with them said in one sentence."""

from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from caduceus.spec.errors import UserError


class Section(BaseModel):
    """Base of every schema: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Inconsistent(ValueError):
    """Values that are each in range but do not fit together."""

    def __init__(self, key: str, value: object, allowed: str) -> None:
        super().__init__(f"{key}: got {value!r}, expected {allowed}")


def demand(condition: bool, key: str, value: object, allowed: str) -> None:
    """Raise `Inconsistent` unless `condition` holds; for use in model validators."""
    if not condition:
        raise Inconsistent(key, value, allowed)


class _Loader(yaml.SafeLoader):
    """Refuses a key that occurs twice, where YAML's own loader keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """As the base class, after a look at the keys."""
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                problem = f"key '{key.value}' occurs twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _tuples(node: Any) -> Any:
    """YAML has lists only; frozen schemas hold tuples."""
    if isinstance(node, dict):
        return {key: _tuples(value) for key, value in node.items()}
    if isinstance(node, list):
        return tuple(_tuples(value) for value in node)
    return node


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """The schemas that a field of this type can hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for arg in get_args(annotation) for found in _sections(arg)]


def _located(
    schema: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[list[int | str], type[BaseModel] | None]:
    """The keys of an error's location as the document has them, and the section that holds it.

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


def _sentence(path: Path, schema: type[BaseModel], error: ValidationError) -> str:
    """One error of a validation: file, key path, value, what is allowed.

    An unknown key comes first: where one was mistyped, the right one is missing as well.
    """
    errors = error.errors()
    unknown = [entry for entry in errors if entry["type"] == "extra_forbidden"]
    first = (unknown or errors)[0]
    names, section = _located(schema, first["loc"])
    key = ".".join(map(str, names))
    context = first.get("ctx", {})
    inner = context.get("error")
    if isinstance(inner, Inconsistent):
        prefix = f"{key}." if key else ""
        return f"{path}: {prefix}{inner}"
    if first["type"].startswith("union_tag"):
        key += "." + context["discriminator"].strip("'")
        if first["type"] == "union_tag_not_found":
            return f"{path}: {key} is missing"
        return f"{path}: {key}: got {context['tag']!r}, expected {context['expected_tags']}"
    if first["type"] == "extra_forbidden":
        known = ", ".join(section.model_fields) if section else ""
        allowed = f", expected {known}" if known else ""
        return f"{path}: {key} = {first['input']!r}: unknown key{allowed}"
    if first["type"] == "missing":
        return f"{path}: {key} is missing"
    allowed = first["msg"].removeprefix("Input should be ")
    return f"{path}: {key}: got {first['input']!r}, expected {allowed}"


Schema = TypeVar("Schema", bound=BaseModel)


def load(path: Path | str, schema: type[Schema], what: str) -> Schema:
    """Read the YAML file at `path` as a `schema`; `what` names the kind of document in errors.

    Raises:
        UserError: the file cannot be read, is not YAML, or breaks the schema.
    """
    path = Path(path)
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"{path}: cannot read the {what}: {reason}") from None
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise UserError(f"{path}: not a YAML file{line}: {problem}") from None
    if not isinstance(document, dict):
        raise UserError(f"{path}: a {what} is a mapping of keys, not {document!r:.40}")
    try:
        return schema.model_validate(_tuples(document))
    except RecursionError:
        raise UserError(
            f"{path}: a value of the {what} contains itself: expected one that does not"
        ) from None
    except ValidationError as error:
        raise UserError(_sentence(path, schema, error)) from None
