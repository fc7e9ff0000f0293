"""The API's OpenAPI 3.1 document, made from the dataclasses that the answers are made of."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from cloud_sync.receiver.port import AlarmRow, GapRow, NightCard, PlatformStats, ResidentCard, ResidentPage

__all__ = ["openapi_document"]

_BASIC = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_ROWS = (AlarmRow, GapRow, NightCard, PlatformStats, ResidentCard, ResidentPage)


def openapi_document() -> dict[str, Any]:
    """The whole document, as /api/openapi.json gives it."""
    schemas: dict[str, Any] = {}
    for row in _ROWS:
        _schema(row, schemas)
    schemas["Error"] = {
        "type": "object",
        "properties": {"error": {"type": "string"}, "message": {"type": "string"}},
        "required": ["error"],
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "sleepbelt receiver", "version": "1"},
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
        "paths": _paths(),
    }


def _paths() -> dict[str, Any]:
    night_of = _query("night_of", {"type": "string", "format": "date"})
    as_format = _query("format", {"enum": ["json", "csv"], "default": "json"})
    limit = _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 200})
    resident = {"name": "resident_id", "in": "path", "required": True, "schema": {"type": "string"}}
    json, text = "application/json", "text/plain"
    health = _get("whether batches can arrive", [], json, {"503": _answer("the broker is out of reach", json)})
    health["get"]["security"] = []
    return {
        "/healthz": health,
        "/metrics": _get("counts for Prometheus", [], text),
        "/api/openapi.json": _get("this document", [], json),
        "/api/residents": _get("every resident's card", [], json),
        "/api/residents/{resident_id}": _get(
            "one resident", [resident, night_of], json, {"404": _answer("no such resident or night", json)},
            {"$ref": "#/components/schemas/ResidentPage"},
        ),
        "/api/nights": _get("every resident's night, with the report", [night_of], json),
        "/api/alarms": _get(
            "alarms, open ones first", [_query("open", {"enum": ["0", "1"]}), limit, as_format], json,
            {"400": _answer("bad limit or format", json)},
        ),
        "/api/gaps": _get("what is proven missing", [as_format], json, {"400": _answer("bad format", json)}),
        "/api/stats": _get("counts", [], json),
        "/api/events": _get("changes as server-sent events", [], "text/event-stream"),
    }  # fmt: skip


def _query(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": dict(schema)}


def _answer(text: str, media: str, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"description": text, "content": {media: {"schema": dict(schema or {})}}}


def _get(
    text: str,
    parameters: Sequence[Mapping[str, Any]],
    media: str,
    others: Mapping[str, Any] | None = None,
    schema: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    error = {"$ref": "#/components/schemas/Error"}
    answers = {"200": _answer(text, media, schema), "401": _answer("no token", "application/json", error)}
    return {"get": {"summary": text, "parameters": list(parameters), "responses": {**answers, **(others or {})}}}


def _schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a field's type; dataclasses met on the way are added to `schemas`."""
    origin, inner = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in schemas:
            hints = get_type_hints(kind)
            fields = {field.name: _schema(hints[field.name], schemas) for field in dataclasses.fields(kind)}
            schemas[kind.__name__] = {"type": "object", "properties": fields, "required": list(fields)}
        return {"$ref": f"#/components/schemas/{kind.__name__}"}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(one, schemas) for one in inner]}
    if origin is tuple:
        return {"type": "array", "items": _schema(inner[0], schemas)}
    return {"type": _BASIC[kind]} if kind in _BASIC else {"type": "object"}
