# SPDX-License-Identifier: Apache-2.0
"""Files and checks of the small platform: one config, `conf`, whose text is what was set last."""

from __future__ import annotations

from typing import Any

import flask

V1 = "/application-deployment/v1/apps/<ident>"


def files(app: flask.Blueprint, platform: Any) -> None:
    kept: dict[str, str] = {}

    @app.get(f"{V1}/files")
    def listed(ident: str) -> Any:
        places = [{"service": "web", "node": None, "bytes": len(text)} for text in kept.values()]
        return [{"name": "conf", "ini": True, "checked": False, "services": {"web": ["/c"]}, "overlays": places}]

    @app.get(f"{V1}/files/conf")
    def shown(ident: str) -> Any:
        return {"name": "conf", "ini": True, "content": kept.get("conf", "own\n"), "own": kept.get("conf")}

    @app.put(f"{V1}/files/conf")
    def put(ident: str) -> Any:
        kept["conf"] = flask.request.get_json()["content"]
        return {"release": None, "environment": flask.request.args.get("environment")}, 202

    @app.delete(f"{V1}/files/conf")
    def delete(ident: str) -> Any:
        kept.clear()
        return {"release": None, "environment": "production"}, 202

    @app.post(f"{V1}/files/conf/diff")
    def diff(ident: str) -> Any:
        wanted = flask.request.get_json()["content"]
        return [] if wanted is None else [{"service": "web", "node": "n1", "diff": f"+{wanted}", "changes": []}]

    @app.post(f"{V1}/checks")
    def check(ident: str) -> Any:
        return [job("probe", "waiting")], 202

    @app.get(f"{V1}/jobs/<uuid>")
    def ended(ident: str, uuid: str) -> Any:
        return job(uuid, "failed" if ident == "ill" else "done")


def job(name: str, status: str) -> dict[str, Any]:
    return {"uuid": name, "service": name, "status": status, "seconds": 1.25, "status_reason": "exited with code 1"}
