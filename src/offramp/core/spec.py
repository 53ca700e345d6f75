"""The base of every specification: frozen, strict about keys, with errors that help."""

from collections.abc import Mapping
from typing import Any, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from offramp.core.errors import BadInput, UnknownName


class Spec(BaseModel):
    """A frozen record that refuses unknown keys and names the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def parse(cls, value: Mapping[str, Any], where: str) -> Self:
        """Build the record from plain data read from `where` (a file's name, for the message).

        Raises:
            UnknownName: a key is not one of this record's.
            BadInput: a key is missing, or a value is of the wrong kind.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            # A misspelt key may also be missing under its right name: the spelling says more.
            first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
            path = ".".join(str(part) for part in first["loc"])
            if first["type"] == "extra_forbidden":
                known = _keys_at(cls, first["loc"][:-1])
                raise UnknownName(f"key in {where}", path.rsplit(".", 1)[-1], known) from None
            raise BadInput(
                f"{where}: '{path}' is not usable",
                expected=first["msg"][0].lower() + first["msg"][1:],
                got=repr(first["input"])[:80],
            ) from None


def _keys_at(cls: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Name the keys of the record nested at `path` below `cls`."""
    for part in path:
        field = cls.model_fields.get(str(part))  # none where `part` indexes a list or a table
        if field is not None:
            cls = _record_in(field.annotation) or cls
    return list(cls.model_fields)


def _record_in(annotation: Any) -> type[BaseModel] | None:
    """Find the record in an annotation such as `dict[str, Record]` or `Record | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_record_in(part) for part in get_args(annotation))
    return next((record for record in inner if record is not None), None)


def parse_yaml(text: str, where: str) -> Any:
    """Read YAML that came from `where` (a name, for the message).

    Raises:
        BadInput: it is not YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"{where} is not YAML", got=" ".join(str(error).split())) from None
