# SPDX-License-Identifier: Apache-2.0
"""What members of groups say and are told, as an engine carries it."""

from __future__ import annotations

import json

from stackyard.drivers.engines.frames import unframed
from stackyard.drivers.workloads import members, spec
from stackyard.model.applications import Service
from stackyard.model.groups import Group, MemberSeen, Position
from stackyard.model.plan.members import members_of
from stackyard.model.ports import Run

SAID = {"state": "waiting", "incarnation": "abc", "position": {"uuid": "u", "seqno": 7}, "primary": False}


def test_a_status_is_read() -> None:
    assert members.seen(json.dumps(SAID).encode()) == MemberSeen("abc", "waiting", Position("u", 7))
    serving = SAID | {"state": "started", "position": None, "primary": True, "synced": True}
    assert members.seen(json.dumps(serving).encode()) == MemberSeen("abc", "started", None, primary=True, synced=True)


def test_what_is_no_status_says_nothing() -> None:
    for text in ("", "[]", "null", "{}", json.dumps(SAID | {"state": "primary"}), json.dumps(SAID | {"position": [1]})):
        assert members.seen(text.encode()) is None


def test_frames_of_the_engines_stream_are_put_together() -> None:
    stream = b"\x01\0\0\0\0\0\0\x03abc" + b"\x01\0\0\0\0\0\0\x02de"
    assert unframed(stream) == b"abcde"
    assert unframed(b"") == b""


def test_a_member_is_found_by_its_own_name_and_its_groups_and_tells_its_group() -> None:
    member = members_of(Service("db", image="i", replicas=3, group=Group()), 3)[1]
    run = Run("app-db-2-d", "app", 1, member, 1, {})
    asked = spec.service(run, "net")
    assert asked["TaskTemplate"]["Networks"] == [{"Target": "net", "Aliases": ["db-2", "db"]}]
    assert asked["TaskTemplate"]["ContainerSpec"]["Labels"][spec.GROUP] == "db"
    assert spec.GROUP not in spec.labels(Run("app-web-d", "app", 1, Service("web", image="i"), 1, {}))
