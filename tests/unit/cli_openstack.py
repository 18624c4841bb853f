# SPDX-License-Identifier: Apache-2.0
"""What the small platform says of a push before it is made: always the same change of one service."""

from __future__ import annotations

from typing import Any

import flask

PREVIEW = {
    "environment": "production",
    "release": 1,
    "config": [{"key": "WORD", "change": "set", "secret": True}],
    "services": [{"name": "keystone", "change": "changed", "fields": ["image", "files"]}],
    "files": [{"name": "keystone", "diff": "--- now\n+++ then\n+debug = true", "changes": []}],
    "images": [{"image": "stackyard/identity", "now": "sha256:1111", "newest": "sha256:2222"}],
    "stages": [{"service": "expand", "stage": "pre_upgrade"}, {"service": "contract", "stage": "post_upgrade"}],
    "scale": [{"service": "keystone", "now": 1, "then": 3}],
}


def previews(app: flask.Blueprint, platform: Any) -> None:
    @app.post("/application-deployment/v1/apps/<ident>/preview")
    def preview(ident: str) -> Any:
        platform.asked = flask.request.get_json()
        return PREVIEW

    @app.get("/application-deployment/v1/apps/<ident>/groups")
    def groups(ident: str) -> Any:
        members = [{"name": f"database-{number}", "state": platform.member_state, "node": "n1"} for number in (1, 2, 3)]
        return [{"name": "database", "state": "formed", "reason": None, "members": members}]
