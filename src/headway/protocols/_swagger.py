"""Azure ML's `/swagger.json`: one operation, in the words of Swagger 2.0, OpenAPI 3.0 or 3.1. Not a protocol by itself.

Specification: OpenAPI Specification 2.0, "Schema Object", and 3.0.3, the same. Our schemas are JSON Schema 2020-12, as
3.1 has it; what the others have no words for is left out, so that they say less and nothing wrong.
"""

from collections.abc import Mapping
from typing import Any

from headway.model.call import Description

Json = dict[str, Any]
VERSIONS: Mapping[str, str] = {
    **{"2": "2.0", "2.0": "2.0"},
    **{"3": "3.0.3", "3.0": "3.0.3", "3.1": "3.1.0"},
}
"""By what `?version=` says, the version of the document; the first is the one that is given by default."""

_KEPT = (
    *("title", "description", "format", "default", "enum", "multipleOf", "maximum", "minimum"),
    *("maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems"),
    *("maxProperties", "minProperties", "required"),
)
_ERROR: Json = {"type": "object", "properties": {"message": {"type": "string"}}}


def swagger(model: Description | None, version: str) -> Json:
    """Describe `/score`.

    Args:
        model: that answers it; None where it depends on a header.
        version: of `VERSIONS`, by its value.
    """
    is_old = version == "2.0"
    at = "#/definitions/" if is_old else "#/components/schemas/"
    schemas: Json = {"ErrorResponse": _ERROR}
    for name in ("ServiceInput", "ServiceOutput"):
        schema = (
            (model.input_schema if name == "ServiceInput" else model.output_schema) if model else {}
        )
        schemas.update(_lifted(schema, name, at, version))
    info = {"title": model.name if model else "Headway", "version": model.version if model else "1"}
    score: Json = {
        "operationId": "RunMLService",
        "description": (model.doc if model else "") or "Ask the model.",
        "responses": {
            "200": _body("The answer.", f"{at}ServiceOutput", is_old=is_old),
            "default": _body("An error.", f"{at}ErrorResponse", is_old=is_old),
        },
    }
    described = {"paths": {"/score": {"post": score}}, "info": info}
    if is_old:
        score["parameters"] = [
            {"name": "serviceInputPayload", "in": "body", "schema": {"$ref": f"{at}ServiceInput"}}
        ]
        media = ["application/json"]
        return {
            "swagger": version,
            **described,
            "consumes": media,
            "produces": media,
            "definitions": schemas,
        }
    score["requestBody"] = {"content": _content(f"{at}ServiceInput")}
    return {"openapi": version, **described, "components": {"schemas": schemas}}


def _body(text: str, ref: str, *, is_old: bool) -> Json:
    return {
        "description": text,
        **({"schema": {"$ref": ref}} if is_old else {"content": _content(ref)}),
    }


def _content(ref: str) -> Json:
    return {"application/json": {"schema": {"$ref": ref}}}


def _lifted(schema: Mapping[str, Any], name: str, at: str, version: str) -> Json:
    """A schema, and those that it holds under `$defs`, as schemas of the document by their names."""
    defs: Mapping[str, Any] = schema.get("$defs", {})
    refs = {f"#/$defs/{key}": f"{at}{name}.{key}" for key in defs}
    own = {key: value for key, value in schema.items() if key != "$defs"}
    named = {name: own, **{f"{name}.{key}": value for key, value in defs.items()}}
    return {key: _said(value, refs, version) for key, value in named.items()}


def _said(schema: Any, refs: Mapping[str, str], version: str) -> Json:
    """A schema in the words of a version."""
    if not isinstance(schema, Mapping):  # true, false
        return {}
    if "$ref" in schema:
        return {"$ref": refs.get(schema["$ref"], schema["$ref"])}
    if version.startswith("3.1"):
        return {key: _rewritten(value, refs) for key, value in schema.items()}
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else list(types)
    parts = [*schema.get("anyOf", schema.get("oneOf", ())), *({"type": t} for t in types[1:])]
    may_lack = "null" in types or {"type": "null"} in parts
    others = [part for part in parts if part != {"type": "null"}]
    lacking = {"x-nullable" if version == "2.0" else "nullable": True} if may_lack else {}
    if "anyOf" in schema or "oneOf" in schema:
        if len(others) == 1:
            return {**_said(others[0], refs, version), **lacking}
        said = [_said(part, refs, version) for part in others]
        return lacking if version == "2.0" else {"anyOf": said, **lacking}
    one = [t for t in types if t != "null"]
    return {
        **({"type": one[0]} if len(one) == 1 else {}),
        **_plain(schema, refs, version),
        **lacking,
    }


def _plain(schema: Mapping[str, Any], refs: Mapping[str, str], version: str) -> Json:
    said: Json = {key: schema[key] for key in _KEPT if key in schema}
    if "const" in schema:
        said["enum"] = [schema["const"]]
    for end in ("minimum", "maximum"):
        key = f"exclusive{end.capitalize()}"
        if key in schema:
            said |= {end: schema[key], key: True}
    if schema.get("contentEncoding") == "base64":
        said["format"] = "byte"
    if schema.get("type") == "array":
        said["items"] = _said(schema.get("items"), refs, version)
    if "properties" in schema:
        said["properties"] = {k: _said(v, refs, version) for k, v in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), Mapping):
        said["additionalProperties"] = _said(schema["additionalProperties"], refs, version)
    return said


def _rewritten(value: Any, refs: Mapping[str, str]) -> Any:
    """A value of a schema with its references as the document has them."""
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            return {**value, "$ref": refs.get(value["$ref"], value["$ref"])}
        return {key: _rewritten(item, refs) for key, item in value.items()}
    return [_rewritten(item, refs) for item in value] if isinstance(value, list) else value
