# SPDX-License-Identifier: Apache-2.0
"""Federations: an empty list for clients that look, a plain no for those that ask for one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.world import OTHER, World

FEDERATIONS = "/container-infra/v1/federations"


@pytest.mark.parametrize("path", ["", "/", "/detail", "?limit=1"])
def test_there_are_none(shared: World, path: str) -> None:
    answer = shared.call("GET", FEDERATIONS + path)
    assert (answer.status_code, answer.json) == (200, {"federations": []})


@pytest.mark.parametrize("query", ["limit=0", "sort_key=labels", "marker=x", "colour=1"])
def test_what_no_page_is(shared: World, query: str) -> None:
    assert shared.call("GET", f"{FEDERATIONS}?{query}").status_code == 400


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", []), ("DELETE", None)])
def test_nothing_can_be_done_with_one(shared: World, method: str, body: Any) -> None:
    assert shared.call(method, f"{FEDERATIONS}/some", body).status_code == 404


def test_none_can_be_made(shared: World) -> None:
    def ask(token: str | None = None, **body: Any) -> tuple[int, str]:
        answer = shared.call("POST", FEDERATIONS, body, **({"token": token} if token else {}))
        return answer.status_code, answer.json["errors"][0]["title"]

    assert ask() == (400, "No hostcluster specified")
    assert ask(hostcluster_id="none")[0] == 404
    assert ask(hostcluster_id="one") == (400, "No driver here can make federations of clusters")
    assert ask(OTHER, hostcluster_id="one")[0] == 404
