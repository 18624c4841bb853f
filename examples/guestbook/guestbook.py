# SPDX-License-Identifier: Apache-2.0
"""A guest book: a page with a form, its entries kept in Redis, the same entries as JSON."""

from __future__ import annotations

import datetime
import json
import os
import socket

import redis
from flask import Flask, Response, abort, jsonify, redirect, render_template, request

VERSION = "1"

LONGEST_NAME, LONGEST_MESSAGE, NEWEST = 60, 500, 100
KEY = "guestbook:entries"

app = Flask(__name__)
store = redis.Redis.from_url(
    os.environ.get("REDIS_URL", "redis://localhost:6379/0"),
    socket_timeout=2,
    socket_connect_timeout=2,
    decode_responses=True,
)


def entries() -> list[dict[str, str]]:
    """Return the newest entries, newest first."""
    return [json.loads(line) for line in store.lrange(KEY, 0, NEWEST - 1)]


@app.get("/")
def page() -> str:
    """Show the form and the entries."""
    return render_template("page.html", entries=entries(), version=VERSION, replica=socket.gethostname())


@app.get("/entries")
def listing() -> Response:
    """Return the entries as JSON."""
    return jsonify(version=VERSION, replica=socket.gethostname(), entries=entries())


@app.post("/entries")
def sign() -> Response | tuple[Response, int]:
    """Add an entry, from the form (answered by a redirect) or from JSON (answered 201)."""
    given = request.get_json() if request.is_json else request.form.to_dict()
    if not isinstance(given, dict):
        abort(400, "an entry is an object with a name and a message")
    name, message = str(given.get("name", "")).strip(), str(given.get("message", "")).strip()
    if not name or not message:
        abort(400, "an entry needs a name and a message")
    entry = {
        "name": name[:LONGEST_NAME],
        "message": message[:LONGEST_MESSAGE],
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    store.lpush(KEY, json.dumps(entry))
    return (jsonify(entry), 201) if request.is_json else redirect("/", code=303)


@app.errorhandler(redis.RedisError)
def no_redis(error: Exception) -> tuple[Response, int]:
    """Say that Redis does not answer, to a program and to a person."""
    return Response(f"The guest book can't reach Redis: {error}\n", mimetype="text/plain"), 503


@app.get("/health")
def health() -> tuple[Response, int]:
    """Tell whether Redis answers."""
    try:
        store.ping()
    except redis.RedisError as error:
        return jsonify(status="unavailable", reason=str(error)), 503
    return jsonify(status="ok", version=VERSION), 200
