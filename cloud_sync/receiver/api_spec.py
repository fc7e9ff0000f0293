"""What the HTTP API consists of: endpoints, their parameters and answers; from it come routes and OpenAPI document."""

from __future__ import annotations

import dataclasses
import re
import types
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["ApiError", "Choice", "Day", "Endpoint", "Parameter", "ParameterError", "Whole", "openapi_document"]

H = TypeVar("H")
UTC_MS_MAX = 7_258_118_400_000  # the year 2200: no night of ours is later
_YEARS = range(1970, 2200)
_BASIC = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


class ParameterError(ValueError):
    """A parameter is wrong; the message names it and says what belongs there."""


@dataclass(frozen=True, slots=True)
class ApiError:
    """What every refusal is answered with: a word for programs, a sentence for people."""

    error: str
    message: str


@dataclass(frozen=True)
class Parameter(ABC):
    """One query parameter; `default` is what its absence means."""

    name: str
    text: str
    default: Any = None

    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """Its JSON schema, without the default."""

    @abstractmethod
    def parse(self, text: str) -> Any:
        """The value of a text; ParameterError."""


@dataclass(frozen=True)
class Whole(Parameter):
    """A whole number."""

    least: int = 0
    most: int = UTC_MS_MAX

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    def parse(self, text: str) -> int:
        if not (re.fullmatch(r"0|[1-9][0-9]{0,15}", text) and self.least <= int(text) <= self.most):
            raise ParameterError(f"{self.name}: a whole number from {self.least} to {self.most} belongs there")
        return int(text)


@dataclass(frozen=True)
class Day(Parameter):
    """A date as YYYY-MM-DD."""

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date", "pattern": r"^(19[7-9]|2[01][0-9])[0-9]-[0-9]{2}-[0-9]{2}$"}

    def parse(self, text: str) -> str:
        try:
            good = bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text)) and date.fromisoformat(text).year in _YEARS
        except ValueError:
            good = False
        if not good:
            raise ParameterError(f"{self.name}: a date from 1970 to 2199 as YYYY-MM-DD belongs there")
        return text


@dataclass(frozen=True)
class Choice(Parameter):
    """One of a few words."""

    words: tuple[str, ...] = ()

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.words)}

    def parse(self, text: str) -> str:
        if text not in self.words:
            raise ParameterError(f"{self.name}: one of {', '.join(self.words)} belongs there")
        return text


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[H]):
    """GET of one path. `answer`: the dataclass of its JSON, or the media type of anything else."""

    path: str
    summary: str
    handler: H
    answer: type[Any] | str
    roles: tuple[str, ...] = ()  # who may; empty: anybody, without a token
    parameters: tuple[Parameter, ...] = ()
    table: str = ""  # the field of the answer whose rows the CSV form has; empty: there is none
    errors: Mapping[int, str] = dataclasses.field(default_factory=dict)  # status -> when; 400 to 403 and 503 besides

    def all_parameters(self) -> tuple[Parameter, ...]:
        """Those of the handler and `format` where there is a CSV form."""
        form = Choice("format", "how the rows are written", "json", words=("json", "csv"))
        return (*self.parameters, form) if self.table else self.parameters

    def read(self, query: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """The values of all parameters; ParameterError also for one that is unknown or given twice."""
        known = {parameter.name: parameter for parameter in self.all_parameters()}
        values = {name: parameter.default for name, parameter in known.items()}
        seen: set[str] = set()
        for name, text in query:
            if name not in known:
                there = f"there are: {', '.join(sorted(known))}" if known else "there is none here"
                raise ParameterError(f"{name[:40]!r} is no parameter; {there}")
            if name in seen:
                raise ParameterError(f"{name}: given twice")
            seen.add(name)
            values[name] = known[name].parse(text)
        return values


def openapi_document(endpoints: Sequence[Endpoint[Any]]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these endpoints."""
    schemas: dict[str, Any] = {}
    error = _schema(ApiError, schemas)
    paths = {one.path: {"get": _operation(one, error, schemas)} for one in endpoints}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sleepbelt receiver",
            "version": "1",
            "description": "Instants are UTC milliseconds; a value that is not known is null, never 0. "
            "Tokens come from `sleepbelt platform token`.",
        },
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": paths,
    }


def _operation(endpoint: Endpoint[Any], error: Mapping[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    segment = {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": segment}
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]
    parameters += [_query(parameter) for parameter in endpoint.all_parameters()]
    if isinstance(endpoint.answer, str):
        plain = "object" if endpoint.answer == "application/json" else "string"
        content: dict[str, Any] = {endpoint.answer: {"schema": {"type": plain}}}
    else:
        content = {"application/json": {"schema": _schema(endpoint.answer, schemas)}}
    if endpoint.table:
        content["text/csv"] = {"schema": {"type": "string"}}
    refusals = {400: "a parameter is wrong", 503: "the database cannot be read at the moment", **endpoint.errors}
    if endpoint.roles:
        refusals |= {401: "no valid token", 403: "this token's role may not read this"}
    answers: dict[str, Any] = {"200": {"description": endpoint.summary, "content": content}}
    for status, when in sorted(refusals.items()):
        answers[str(status)] = {"description": when, "content": {"application/json": {"schema": dict(error)}}}
    operation: dict[str, Any] = {"summary": endpoint.summary, "parameters": parameters, "responses": answers}
    if endpoint.roles:
        operation |= {"security": [{"token": []}], "description": f"Roles: {', '.join(endpoint.roles)}."}
    return operation


def _query(parameter: Parameter) -> dict[str, Any]:
    schema = parameter.schema() | ({} if parameter.default is None else {"default": parameter.default})
    return {"name": parameter.name, "in": "query", "description": parameter.text, "schema": schema}


def _schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a field's type; dataclasses met on the way are added to `schemas`."""
    origin, inner = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in schemas:
            hints = get_type_hints(kind)
            schemas[kind.__name__] = {}  # its name is taken while its fields are looked at
            fields = {field.name: _schema(hints[field.name], schemas) for field in dataclasses.fields(kind)}
            schemas[kind.__name__] = {"type": "object", "properties": fields, "required": list(fields)}
        return {"$ref": f"#/components/schemas/{kind.__name__}"}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(one, schemas) for one in inner]}
    if origin is tuple:
        return {"type": "array", "items": _schema(inner[0], schemas)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        values = {} if inner[1] is Any else _schema(inner[1], schemas)
        return {"type": "object", "additionalProperties": values}
    return {"type": _BASIC[kind]}
