# SPDX-License-Identifier: Apache-2.0
"""Backups on the small platform: each look at one that is busy brings it on; `breaks` names what then fails."""

from __future__ import annotations

from typing import Any

import flask

BUSY = {"verify": "VERIFYING", "restore": "RESTORING"}


def backups(app: flask.Blueprint, platform: Any) -> None:
    kept: list[dict[str, Any]] = []
    platform.backups, platform.breaks = kept, ""
    where = "/application-deployment/v1/apps/<ident>/backups"

    def found(number: str) -> dict[str, Any]:
        one = next((each for each in kept if number in (str(each["number"]), each["uuid"])), None)
        if one is None:
            flask.abort(flask.make_response({"faultstring": f"there is no backup {number}"}, 404))
        return one

    @app.get(where)
    def index(ident: str) -> Any:
        return list(reversed(kept))

    @app.post(where)
    def create(ident: str) -> Any:
        services = [flask.request.get_json()["service"]] if flask.request.get_json()["service"] else ["db", "store"]
        made = [new(len(kept) + at, service) for at, service in enumerate(services, start=1)]
        kept.extend(made)
        return made, 202

    @app.get(f"{where}/<number>")
    def show(ident: str, number: str) -> Any:
        one = dict(found(number))
        found(number).update(after(one))
        return one

    @app.post(f"{where}/<number>/<word>")
    def ask(ident: str, number: str, word: str) -> Any:
        found(number).update(status=BUSY[word])
        return found(number), 202

    @app.delete(f"{where}/<number>")
    def delete(ident: str, number: str) -> Any:
        kept.remove(found(number))
        return "", 202

    def after(one: dict[str, Any]) -> dict[str, Any]:
        told = {"CREATING": "size", "VERIFYING": "verified_at", "RESTORING": "restored_at"}.get(one["status"])
        if told is None:
            return {}
        if told == platform.breaks:
            return {"status": "ERROR", "status_reason": "it broke\nin detail", "flaw": "it broke"}
        seen = {"size": 2048, "sha256": "ab"} if told == "size" else {told: "2026-01-01T00:00:00+00:00"}
        return {"status": "AVAILABLE", **seen}


def new(number: int, service: str) -> dict[str, Any]:
    told = dict.fromkeys(("status_reason", "size", "stored", "sha256", "verified_at", "restored_at", "flaw"))
    words = {"environment": "production", "service": service, "form": "dump", "cause": "request"}
    begun = {"status": "CREATING", "moved": 5000, "created_at": "2026-01-01T03:00:00+00:00"}
    return {"number": number, "uuid": f"id-{number}", **words, **told, **begun}
