# SPDX-License-Identifier: Apache-2.0
"""Whether workers are at work, as administrators see it."""

from __future__ import annotations

import datetime

from stackyard.model.records import utcnow
from stackyard.model.services import DOWN_SECONDS
from stackyard.store import tables
from stackyard.worker.heartbeat import Heartbeat
from tests.api.world import ADMIN, MEMBER, World

SERVICES = "/container-infra/v1/mservices"


def test_workers_of_one_host_are_one_service(world: World) -> None:
    assert world.call("GET", SERVICES, token=ADMIN).json == {"mservices": []}
    for _ in range(2):
        Heartbeat(world.store, host="here").beat()
    (service,) = world.call("GET", SERVICES, token=ADMIN).json["mservices"]
    times = {name: service.pop(name) for name in ("created_at", "updated_at")}
    assert all(value.endswith("+00:00") for value in times.values())
    assert service == {
        "id": 1,
        "host": "here",
        "binary": "magnum-conductor",
        "state": "up",
        "report_count": 2,
        "disabled": False,
        "disabled_reason": None,
    }


def test_one_that_was_not_heard_of_lately_is_down(world: World) -> None:
    for host in ("here", "there"):
        Heartbeat(world.store, host=host).beat()
    before = utcnow() - datetime.timedelta(seconds=DOWN_SECONDS + 1)
    with world.store.transaction() as tx:
        table = tables.services
        tx.connection.execute(table.update().where(table.c.host == "there").values(updated_at=before))
    services = world.call("GET", SERVICES, token=ADMIN).json["mservices"]
    assert {service["host"]: service["state"] for service in services} == {"here": "up", "there": "down"}


def test_only_admins_see_them(world: World) -> None:
    assert world.call("GET", SERVICES, token=MEMBER).status_code == 403
    assert world.call("GET", f"{SERVICES}?limit=1", token=ADMIN).status_code == 400
