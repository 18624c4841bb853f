# SPDX-License-Identifier: Apache-2.0
"""Clusters of the small platform: each look moves every node on by one state, so that following can be seen."""

from __future__ import annotations

import time
import uuid
from typing import Any

import flask

from stackyard.drivers.certificates.x509 import X509

V1 = "/container-infra/v1"
STATES = ("starting", "joining", "ready")
GROUP = {"flavor_id": None, "min_node_count": 0, "max_node_count": None, "is_default": False, "image_id": "node"}
HOURS = 24


def missing(what: str) -> Any:
    entry = {"status": 404, "code": "client", "title": f"{what} not found", "detail": f"{what} could not be found."}
    return {"errors": [{**entry, "request_id": "", "links": []}]}, 404


def templates(app: flask.Blueprint, platform: Any) -> None:
    @app.get(f"{V1}/clustertemplates/<ident>")
    def template(ident: str) -> Any:
        found = [each for each in platform.templates.values() if ident in (each["uuid"], each["name"])]
        return found[0] if found else missing(f"ClusterTemplate {ident}")

    @app.get(f"{V1}/clustertemplates")
    def listing() -> Any:
        return {"clustertemplates": list(platform.templates.values())}

    @app.post(f"{V1}/clustertemplates")
    def make_template() -> Any:
        given = flask.request.get_json()
        made = {"project_id": "p", "public": False, "labels": {}, **given, "uuid": str(uuid.uuid4())}
        platform.templates[given["name"]] = made
        return made, 201

    @app.get(f"{V1}/offers")
    def offers() -> Any:
        label = {"name": "drain_seconds", "kind": "integer", "help": "how long", "default": "30"}
        return {
            "images": [{"id": "1", "name": "node", "os_distro": "debian"}, {"id": "2", "name": "node-next"}],
            "flavors": [{"id": "3", "name": "small", "cpus": 1.0, "memory_mb": 1024}],
            "networks": [{"id": "4", "name": "public", "external": True}],
            "engines": [{"coe": coe, "labels": [label]} for coe in ("swarm", "swarm-mode")],
        }


def group(name: str, role: str, count: int, **more: Any) -> dict[str, Any]:
    made = {**GROUP, "uuid": str(uuid.uuid4()), "name": name, "role": role, "status": "CREATE_IN_PROGRESS", **more}
    made["nodes"] = []
    resized(made, count)
    return made


def resized(of: dict[str, Any], count: int) -> None:
    """Bring the group's nodes to a number; new ones are still to start."""
    taken = of["nodes"][:count]
    names = (f"{of['name']}-{n}" for n in range(count))
    fresh = [name for name in names if name not in {node["name"] for node in taken}][: count - len(taken)]
    of["nodes"] = taken + [{"name": name, "state": "absent", "address": "10.0.0.9"} for name in fresh]
    of["node_count"] = count


def ahead(node: dict[str, Any]) -> None:
    """Move a node on by one state."""
    if node["state"] != "ready":
        at = STATES.index(node["state"]) if node["state"] in STATES else -1
        node["state"] = STATES[at + 1]


def moved(platform: Any, found: dict[str, Any]) -> None:
    """Let one look's worth of work happen."""
    found["looks"] += 1
    if not found["status"].endswith("IN_PROGRESS"):
        return
    time.sleep(platform.step_seconds)
    found["status_reason"] = "adding machines"
    for each in found["groups"]:
        for node in each["nodes"]:
            ahead(node)
    if found["looks"] > 3:
        ending = "FAILED" if platform.fail_with else "COMPLETE"
        found["status"] = found["status"].replace("IN_PROGRESS", ending)
        found["status_reason"] = platform.fail_with
        for each in found["groups"]:
            each["status"] = found["status"]


def begin(found: dict[str, Any], status: str = "UPDATE_IN_PROGRESS") -> Any:
    found.update(status=status, looks=0)
    return {"uuid": found["uuid"]}, 202


def short(of: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in of.items() if key not in ("nodes", "min_node_count", "max_node_count")}


def shown(found: dict[str, Any]) -> dict[str, Any]:
    workers = [each for each in found["groups"] if each["role"] != "master"]
    counts = {"node_count": sum(each["node_count"] for each in workers)}
    nodes = [{**node, "nodegroup": each["name"]} for each in found["groups"] for node in each["nodes"]]
    own = {key: value for key, value in found.items() if key not in ("groups", "looks", "ca")}
    return {**own, **counts, "nodes": nodes}


def clusters(app: flask.Blueprint, platform: Any) -> None:
    @app.post(f"{V1}/clusters")
    def make() -> Any:
        given = flask.request.get_json()
        if given["master_count"] % 2 == 0:
            return {"errors": [{"title": "odd", "detail": "master_count must be odd"}]}, 400
        made = {**given, "uuid": str(uuid.uuid4()), "health_status": None, "api_address": "tcp://10.0.0.2:2376"}
        made["groups"] = [
            group("default-master", "master", given["master_count"], is_default=True),
            group("default-worker", "worker", given["node_count"], is_default=True),
        ]
        made["ca"] = X509().authority("demo")
        platform.clusters[made["uuid"]] = made
        return begin(made, "CREATE_IN_PROGRESS")

    @app.get(f"{V1}/clusters")
    def listing() -> Any:
        found = list(platform.clusters.values())
        marker = flask.request.args.get("marker")
        start = 1 + [each["uuid"] for each in found].index(marker) if marker else 0
        page = found[start : start + platform.page]
        more = f"{platform.url}{V1}/clusters?limit={platform.page}&marker={page[-1]['uuid']}" if page else ""
        follow = {"next": more} if len(page) == platform.page else {}
        return {"clusters": [shown(each) for each in page], **follow}

    @app.get(f"{V1}/clusters/<ident>")
    def show(ident: str) -> Any:
        found = named(platform, ident)
        if found is None:
            return missing(f"Cluster {ident}")
        moved(platform, found)
        if found["status"] == "DELETE_COMPLETE":
            del platform.clusters[found["uuid"]]
        return shown(found)

    @app.post(f"{V1}/clusters/<ident>/actions/resize")
    def resize(ident: str) -> Any:
        given, found = flask.request.get_json(), platform.clusters[ident]
        platform.asked = given
        wanted = given.get("nodegroup") or "default-worker"
        each = next(each for each in found["groups"] if each["name"] == wanted)
        each["nodes"] = [node for node in each["nodes"] if node["name"] not in given.get("nodes_to_remove", [])]
        resized(each, given["node_count"])
        return begin(found)

    @app.post(f"{V1}/clusters/<ident>/actions/upgrade")
    def upgrade(ident: str) -> Any:
        platform.asked = flask.request.get_json()
        return begin(platform.clusters[ident])

    @app.delete(f"{V1}/clusters/<ident>")
    def delete(ident: str) -> Any:
        begin(platform.clusters[ident], "DELETE_IN_PROGRESS")
        return "", 204


def nodegroups(app: flask.Blueprint, platform: Any) -> None:
    @app.get(f"{V1}/clusters/<ident>/nodegroups")
    def groups(ident: str) -> Any:
        found = platform.clusters.get(ident)
        return {"nodegroups": [short(each) for each in found["groups"]]} if found else missing(f"Cluster {ident}")

    @app.get(f"{V1}/clusters/<ident>/nodegroups/<uuid>")
    def show_group(ident: str, uuid: str) -> Any:
        return next(each for each in platform.clusters[ident]["groups"] if each["uuid"] == uuid)

    @app.post(f"{V1}/clusters/<ident>/nodegroups")
    def add(ident: str) -> Any:
        given, found = flask.request.get_json(), platform.clusters[ident]
        platform.asked = given
        made = group(given["name"], given.get("role", "worker"), given["node_count"])
        made |= {key: given[key] for key in GROUP if key in given}
        found["groups"].append(made)
        begin(found)
        return made, 202

    @app.delete(f"{V1}/clusters/<ident>/nodegroups/<name>")
    def remove(ident: str, name: str) -> Any:
        found = platform.clusters[ident]
        if name not in [each["name"] for each in found["groups"]]:
            return missing(f"nodegroup {name}")
        found["groups"] = [each for each in found["groups"] if each["name"] != name]
        begin(found)
        return "", 204


def certificates(app: flask.Blueprint, platform: Any) -> None:
    @app.post(f"{V1}/certificates")
    def sign() -> Any:
        given = flask.request.get_json()
        found = platform.clusters[given["cluster_uuid"]]
        return {"pem": X509().sign(found["ca"], given["csr"], HOURS, {"CN": "demo-user"})}, 201

    @app.get(f"{V1}/certificates/<ident>")
    def show(ident: str) -> Any:
        return {"pem": platform.clusters[ident]["ca"].cert}

    @app.patch(f"{V1}/<kind>/<ident>")
    def rotate(kind: str, ident: str) -> Any:
        platform.asked = {"rotate": kind}
        return begin(platform.clusters[ident])


def named(platform: Any, ident: str) -> dict[str, Any] | None:
    return next((each for each in platform.clusters.values() if ident in (each["uuid"], each["name"])), None)
