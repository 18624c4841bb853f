# SPDX-License-Identifier: Apache-2.0
"""The description of an API family for machines (OpenAPI 3.1), made of its table of routes and its schemas.

Nothing in it is written a second time: paths, parameters and bodies are those that the dispatcher goes by, and the
refusals follow from what a route has (a body, a name in its path, versions).
"""

from __future__ import annotations

import http
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stackyard.api import versions
from stackyard.api.call import Body, Family, Route, Schema

View = dict[str, Any]

JSON = "application/json"
_NAME = re.compile(r"\{(\w+)\}")
TOKEN = {"type": "apiKey", "in": "header", "name": "X-Auth-Token", "description": "a token of Keystone"}


def document(family: Family, routes: Sequence[Route], url: str) -> View:
    """Return the description of these routes of a family, served at `url`."""
    shelf = _Shelf()
    paths: dict[str, View] = {}
    for route in routes:
        paths.setdefault(route.path or "/", {})[route.method.lower()] = _operation(family, route, shelf)
    return {
        "openapi": "3.1.0",
        "info": {"title": family.name, "version": _newest(family)},
        "servers": [{"url": url}],
        "paths": paths,
        "components": {
            "schemas": shelf.schemas,
            "responses": {_words(status): _response(status, family.error, shelf) for status in sorted(shelf.refusals)},
            "securitySchemes": {"token": TOKEN},
        },
    }


def parameters(family: Family, route: Route) -> list[View]:
    """Return the names in the path, the query's parameters, and the header of the version."""
    named = [_parameter("path", name, {"type": "string", "minLength": 1}, True) for name in _NAME.findall(route.path)]
    asked = [_parameter("query", name, family.parameters[name], False) for name in sorted(route.query or ())]
    return [*named, *asked, *_version(family, route)]


class _Shelf:
    """Puts schemas with a title, and refusals, aside, so that each is written once."""

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {}
        self.refusals: set[int] = set()

    def put(self, schema: Any) -> Any:
        """Return the schema, or a reference to where it is now; patterns are those of ECMA 262."""
        if isinstance(schema, list):
            return [self.put(each) for each in schema]
        if not isinstance(schema, Mapping):
            return schema
        plain = {key: _pattern(value) if key == "pattern" else self.put(value) for key, value in schema.items()}
        title = plain.get("title")
        if not isinstance(title, str):
            return plain
        self.schemas[title] = plain
        return {"$ref": f"#/components/schemas/{title}"}


def _operation(family: Family, route: Route, shelf: _Shelf) -> View:
    operation: View = {
        "operationId": _id(route),
        "summary": (inspect.getdoc(route.handler) or route.path).splitlines()[0].partition(";")[0].rstrip("."),
        "parameters": parameters(family, route),
        "responses": dict(_responses(family, route, shelf)),
        "security": [{"token": []}] if route.rule else [],
    }
    if route.rule:
        operation["description"] = f"Policy: `{route.rule}`." + _since(route)
    if route.body is Body.JSON and route.schema is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": shelf.put(route.schema)}}}
    return operation


def _responses(family: Family, route: Route, shelf: _Shelf) -> Iterator[tuple[str, View]]:
    refusals = {status for status in route.answers if status >= 400} | set(_refusals(family, route))
    shelf.refusals |= refusals
    for status, schema in route.answers.items():
        if status < 400:
            yield str(status), _response(status, schema, shelf)
    for status in sorted(refusals):
        yield str(status), {"$ref": f"#/components/responses/{_words(status)}"}


def _response(status: int, schema: Schema | None, shelf: _Shelf) -> View:
    content = {} if schema is None else {"content": {JSON: {"schema": shelf.put(schema)}}}
    return {"description": http.HTTPStatus(status).phrase, **content}


def _words(status: int) -> str:
    return http.HTTPStatus(status).phrase.replace(" ", "")


def _refusals(family: Family, route: Route) -> Iterator[int]:
    """Yield the statuses that routes of this kind may refuse with."""
    objects, writes = bool(_NAME.search(route.path)), route.method != "GET"
    reasons: Sequence[tuple[int, bool]] = (
        (400, route.rule is not None),
        (401, route.rule is not None),
        (403, route.rule is not None),
        (404, objects),
        (406, family.versions is not None),
        (409, objects or writes),
        (413, route.body is not Body.NONE),
        (503, route.rule is not None),
    )
    return (status for status, holds in reasons if holds)


def _version(family: Family, route: Route) -> Iterator[View]:
    if family.versions is None or route.rule is None:
        return
    low, high = max(route.since, family.versions.lowest), family.versions.highest
    numbers = [versions.text((high[0], minor)) for minor in range(low[1], high[1] + 1)]
    names = [f"{family.name} {number}" for number in (*numbers, "latest")]
    yield _parameter("header", versions.HEADER, {"type": "string", "enum": names}, low > family.versions.lowest)


def _parameter(place: str, name: str, schema: Schema, required: bool) -> View:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _id(route: Route) -> str:
    words = [word.strip("{}") for word in re.split(r"[/.]", route.path) if word]
    return "-".join([route.method.lower(), *(words or ["root"])])


def _since(route: Route) -> str:
    return f" Since version {versions.text(route.since)}." if route.since > versions.LOWEST else ""


def _newest(family: Family) -> str:
    return versions.text(family.versions.highest) if family.versions else "1"


def _pattern(text: Any) -> Any:
    """Return a pattern of Python's as one of ECMA 262, where `$` is the end and there is no other sign."""
    return text.replace(r"\Z", "$") if isinstance(text, str) else text
