# SPDX-License-Identifier: Apache-2.0
"""Clusters under their first name: `/v1/bays` and `/v1/baymodels`, where `[api] bays` says so.

A thin layer of other words around the routes of clusters, templates and certificates: bodies are renamed on their way
in, answers on their way out. At version 1.1 a bay was answered whole, with 201 and 200; its status tells how far it is.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any

from stackyard.api.call import Answers, Call, Reply, Route, Schema
from stackyard.api.container_infra import answers, clusters, discovery
from stackyard.api.versions import LOWEST

PATHS = {"clustertemplates": "baymodels", "clusters": "bays"}
FIELDS = {"cluster_template_id": "baymodel_id", "create_timeout": "bay_create_timeout", "faults": "bay_faults"}
WORDS = {**FIELDS, **PATHS}
CLUSTER_FIELDS = {new: old for old, new in FIELDS.items()}
OPTION = "bays"
_COLLECTION = re.compile(rf"({discovery.PREFIX}(?:/v1)?)/({'|'.join(PATHS)})\b")


def alias(routes: Sequence[Route]) -> Iterator[Route]:
    """Yield the routes of bays, baymodels and their certificates, made of those of clusters."""
    for route in routes:
        collection, _, rest = route.path.removeprefix("/v1/").partition("/")
        if collection in PATHS and "/" not in rest:
            path = route.path.replace(f"/v1/{collection}", f"/v1/{PATHS[collection]}")
            yield dataclasses.replace(_bay(route), path=path)
        elif collection == "certificates" and route.method in ("GET", "POST"):
            yield _certificate(route)


def _bay(route: Route) -> Route:
    def handler(call: Call) -> Reply:
        asked = dataclasses.replace(call, body=_asked(call.body))
        return _told(_whole(asked, route.handler(asked)))

    handler.__doc__ = route.handler.__doc__
    schema = None if route.schema is None else _schema(route.schema)
    return dataclasses.replace(route, handler=handler, schema=schema, answers=_answers(route), option=OPTION)


def _certificate(route: Route) -> Route:
    """Return the route with `bay_uuid` for `cluster_uuid`, which goes on working."""

    def named(call: Call) -> Call:
        if not isinstance(call.body, dict) or "bay_uuid" not in call.body:
            return call
        rest = {name: value for name, value in call.body.items() if name != "bay_uuid"}
        return dataclasses.replace(call, body={"cluster_uuid": call.body["bay_uuid"], **rest})

    def handler(call: Call) -> Reply:
        reply = route.handler(named(call))
        return dataclasses.replace(reply, data={**reply.data, "bay_uuid": reply.data["cluster_uuid"]})

    def find(call: Call) -> Any:
        return route.find(named(call)) if route.find else None

    handler.__doc__ = route.handler.__doc__
    told = {status: None if schema is None else _with_bay(schema) for status, schema in route.answers.items()}
    schema = None if route.schema is None else _either(route.schema)
    return dataclasses.replace(route, handler=handler, find=find, schema=schema, answers=told, option=OPTION)


def _asked(body: Any) -> Any:
    """Return a body in the words of clusters."""
    if not isinstance(body, dict):
        return body
    return {CLUSTER_FIELDS.get(name, name): value for name, value in body.items()}


def _whole(call: Call, reply: Reply) -> Reply:
    """Return what was accepted as it is now, for the first version; other answers as they are."""
    if reply.status != 202 or call.version > LOWEST:
        return reply
    found = call.services.intents.clusters.find(call.caller, reply.data["uuid"])
    shown = clusters.show(dataclasses.replace(call, target=found)).data
    if call.target is not None:
        return Reply(200, shown)
    return Reply(201, shown, {"Location": shown["links"][0]["href"]})


def _told(reply: Reply) -> Reply:
    """Return the reply in the words of bays."""
    headers = {name: _address(value) if name == "Location" else value for name, value in reply.headers.items()}
    return dataclasses.replace(reply, data=_renamed(reply.data), headers=headers)


def _renamed(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    for old, new in PATHS.items():
        if old in data:
            rest = {"next": _address(data["next"])} if "next" in data else {}
            return {new: [_renamed(item) for item in data[old]], **rest}
    renamed = {FIELDS.get(name, name): value for name, value in data.items()}
    if "links" in renamed:
        renamed["links"] = [{**link, "href": _address(link["href"])} for link in renamed["links"]]
    return renamed


def _address(url: str) -> str:
    """Return the address of the same thing as a bay."""
    return _COLLECTION.sub(lambda found: f"{found[1]}/{PATHS[found[2]]}", url, count=1)


# --- schemas -----------------------------------------------------------------------------------


def _answers(route: Route) -> Answers:
    """Return the schemas of a route's answers, and of those that the first version gets."""
    told = {status: None if schema is None else _schema(schema) for status, schema in route.answers.items()}
    if 202 not in told:
        return told
    return {201 if route.method == "POST" else 200: _schema(answers.CLUSTER), **told}


def _schema(schema: Schema) -> Schema:
    """Return a schema with the fields of bays."""
    if "properties" not in schema:
        return schema
    fields = {WORDS.get(name, name): _items(name, value) for name, value in schema["properties"].items()}
    required = [WORDS.get(name, name) for name in schema["required"]]
    return {**schema, **_title(schema), "properties": fields, "required": required}


def _items(name: str, schema: Schema) -> Schema:
    return {**schema, "items": _schema(schema["items"])} if name in PATHS else schema


def _title(schema: Schema) -> Schema:
    title = schema.get("title", "").replace("ClusterTemplate", "BayModel").replace("Cluster", "Bay")
    return {"title": title} if title else {}


def _with_bay(schema: Schema) -> Schema:
    """Return the schema of a certificate's answer with `bay_uuid` beside `cluster_uuid`."""
    fields = {**schema["properties"], "bay_uuid": schema["properties"]["cluster_uuid"]}
    return {**schema, "properties": fields, "required": [*schema["required"], "bay_uuid"]}


def _either(schema: Schema) -> Schema:
    """Return the schema of a request for a certificate that takes one of the two."""
    fields = {**schema["properties"], "bay_uuid": schema["properties"]["cluster_uuid"]}
    required = [name for name in schema["required"] if name != "cluster_uuid"]
    either = [{"required": ["cluster_uuid"]}, {"required": ["bay_uuid"]}]
    return {**schema, "properties": fields, "required": required, "anyOf": either}
