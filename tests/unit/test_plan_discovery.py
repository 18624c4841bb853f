# SPDX-License-Identifier: Apache-2.0
"""Who is registered, and as what: Registrator's words, and the difference to what a registry holds."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as some

from stackyard.model.applications import Service
from stackyard.model.discovery import registration, told
from stackyard.model.plan.discovery import Registry, plan_discovery
from stackyard.model.ports import Replica, Run, RunSeen

OWNER = "b6e4ff70-6d1c-4b53-9a0c-3f4f6f1a2b3c"
WEB = Service("web", image="i", port=8000)


def labelled(**labels: str) -> Service:
    return dataclasses.replace(WEB, labels=labels)


def replica(ident: str, state: str = "running", endpoint: str | None = "10.0.0.5:32768") -> Replica:
    return Replica(id=ident, run="w-web", service="web", slot=1, node="n1", state=state, endpoint=endpoint)


def run(service: Service = WEB) -> Run:
    return Run("w-web", OWNER, 1, service, 2, {}, "d")


def seen(*replicas: Replica) -> RunSeen:
    return RunSeen("w-web", OWNER, "web", 1, "d", 2, replicas)


def test_a_service_without_words_is_registered_by_its_name() -> None:
    found = registration(OWNER, WEB, "abcdefghijklmnop", "10.0.0.5:32768")
    assert found is not None
    assert (found.id, found.name, found.address, found.port) == (
        "b6e4ff70:web:abcdefghijkl:8000",
        "web",
        "10.0.0.5",
        32768,
    )
    assert (found.tags, found.meta, found.check) == ((), {}, {})


def test_registrators_words() -> None:
    service = labelled(
        SERVICE_NAME="shop",
        SERVICE_TAGS=r"blue,a\,b,",
        SERVICE_8000_NAME="front",
        SERVICE_9000_NAME="another port",
        SERVICE_REGION="eu",
        SERVICE_CHECK_HTTP="/ready",
        SERVICE_CHECK_TIMEOUT="2s",
        OTHER="1",
    )
    found = registration(OWNER, service, "a", "[fd00::5]:80")
    assert found is not None
    assert (found.name, found.address, found.tags, found.meta) == (
        "front",
        "fd00::5",
        ("blue", "a,b"),
        {"region": "eu"},
    )
    assert found.check == {"HTTP": "http://[fd00::5]:80/ready", "Interval": "10s", "Timeout": "2s"}


def test_kinds_of_checks() -> None:
    def check(**words: str) -> dict[str, str]:
        found = registration(OWNER, labelled(**words), "a", "h:1")
        assert found is not None
        return dict(found.check)

    assert check(SERVICE_CHECK_TCP="true", SERVICE_CHECK_INTERVAL="3s") == {"TCP": "h:1", "Interval": "3s"}
    assert check(SERVICE_CHECK_TTL="30s") == {"TTL": "30s"}
    assert check(SERVICE_CHECK_GRPC="true") == {"GRPC": "h:1", "Interval": "10s"}
    assert check(SERVICE_CHECK_HTTPS="/") == {"HTTP": "https://h:1/", "Interval": "10s"}


def test_labels_count_more_than_the_environment() -> None:
    service = dataclasses.replace(labelled(SERVICE_NAME="l"), environment={"SERVICE_NAME": "e", "SERVICE_ZONE": "z"})
    assert told(service) == {"NAME": "l", "ZONE": "z"}


def test_who_wants_none_is_not_registered() -> None:
    assert registration(OWNER, labelled(SERVICE_IGNORE="1"), "a", "h:1") is None
    assert registration(OWNER, labelled(SERVICE_8000_IGNORE="1"), "a", "h:1") is None


def test_only_ready_replicas_are_registered() -> None:
    there = seen(replica("ready"), replica("starting", "starting"), replica("nowhere", endpoint=None))
    (action,) = plan_discovery(OWNER, [run()], [there], Registry("h:8500"))
    assert [each.id.split(":")[2] for each in action.put] == ["ready"]  # type: ignore[attr-defined]


def test_nothing_is_done_without_a_registry_or_a_difference() -> None:
    assert plan_discovery(OWNER, [run()], [seen(replica("a"))], None) == []
    asked = registration(OWNER, WEB, "a", "10.0.0.5:32768")
    assert asked is not None
    assert plan_discovery(OWNER, [run()], [seen(replica("a"))], Registry("h:8500", {asked.id: asked.digest})) == []


def test_what_changed_is_told_anew_and_what_is_gone_is_taken_out() -> None:
    held = {"b6e4ff70:web:a:8000": "another digest", "b6e4ff70:web:old:8000": "x"}
    (action,) = plan_discovery(OWNER, [run()], [seen(replica("a"))], Registry("h:8500", held))
    assert [each.id for each in action.put] == ["b6e4ff70:web:a:8000"]  # type: ignore[attr-defined]
    assert action.drop == ("b6e4ff70:web:old:8000",)  # type: ignore[attr-defined]
    assert action.describe() == "registering 1 replicas of web; taking 1 out of the registry"


def test_who_is_registered_and_said_to_start_stays_and_who_is_ill_goes() -> None:
    held = {"b6e4ff70:web:a:8000": "x", "b6e4ff70:web:b:8000": "x"}
    there = seen(replica("a", "starting"), replica("b", "unhealthy"), replica("c", "starting"))
    (action,) = plan_discovery(OWNER, [run()], [there], Registry("h:8500", held))
    assert (action.put, action.drop) == ((), ("b6e4ff70:web:b:8000",))  # type: ignore[attr-defined]


@given(some.dictionaries(some.from_regex(r"SERVICE_[A-Z0-9_]{0,12}", fullmatch=True), some.text(max_size=12)))
def test_any_labels_lead_to_something_that_can_be_told(labels: dict[str, str]) -> None:
    found = registration(OWNER, labelled(**labels), "a", "h:1")
    assert found is None or (found.name and found.digest)
