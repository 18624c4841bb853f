# SPDX-License-Identifier: Apache-2.0
"""What swarm is asked for, and what is made of its answers; no engine needed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard.drivers.workloads import images, observe, placement, reasons, spec
from stackyard.drivers.workloads.observe import Container
from stackyard.model.applications import BuildSpec, HealthCheck, Mount, Service
from stackyard.model.ports import ClusterAccess, NodeAccess, Run, TLSPair

APP = "0123456789abcdef"
NODES = tuple(NodeAccess(name, f"192.0.2.{name[1]}", "master", TLSPair("", "", "")) for name in ("n1", "n2", "n3"))
NOW = 1_000_000.0


def run(replicas: int = 2, pin: str | None = None, environment: dict[str, str] | None = None, **options: Any) -> Run:
    service = Service(**({"name": "web", "image": "r:5000/p/web@sha256:aa"} | options))
    return Run("01234567-web-abc", APP, 7, service, replicas, environment or {}, "abc", pin)


def member(name: str, state: str = "ready", availability: str = "active") -> dict[str, Any]:
    return {
        "ID": f"id-{name}",
        "Status": {"State": state},
        "Spec": {"Availability": availability},
        "Description": {"Hostname": name},
    }


# --- specifications ----------------------------------------------------------------------------


def test_a_service_needs_no_virtual_address_and_no_fixed_port() -> None:
    asked = spec.service(run(port=8000), "net")
    assert asked["EndpointSpec"] == {
        "Mode": "dnsrr",
        "Ports": [{"Protocol": "tcp", "TargetPort": 8000, "PublishMode": "host"}],
    }
    assert asked["TaskTemplate"]["Networks"] == [{"Target": "net", "Aliases": ["web"]}]
    assert asked["Labels"].items() - asked["TaskTemplate"]["ContainerSpec"]["Labels"].items() == {
        (spec.MADE, asked["Labels"][spec.MADE])
    }
    assert spec.service(run(), "net")["EndpointSpec"] == {"Mode": "dnsrr"}


def test_a_change_by_hand_is_seen_and_one_of_replicas_is_none() -> None:
    files = {"Secrets": [{"SecretID": "b"}, {"SecretID": "a"}]}
    asked = spec.service(run(environment={"A": "1"}), "net", (), files)
    assert not spec.is_changed(asked)
    assert not spec.is_changed(spec.adjusted(asked, 5, ["node.hostname==n"]))
    containers = asked["TaskTemplate"]["ContainerSpec"]
    for part, value in {"Image": "other", "Env": ["A=2"], "Args": ["sh"], "User": "root", "Secrets": []}.items():
        template = {**asked["TaskTemplate"], "ContainerSpec": {**containers, part: value}}
        assert spec.is_changed({**asked, "TaskTemplate": template})
    old = {key: value for key, value in asked["Labels"].items() if key != spec.MADE}
    assert not spec.is_changed({**asked, "Labels": old}), "what an earlier version made is left alone"


def test_only_what_was_asked_for_is_passed() -> None:
    assert spec.container(run()).keys() == {"Image", "Labels", "StopGracePeriod", "Init", "DNSConfig"}
    assert spec.service(run(), "net")["TaskTemplate"]["Resources"] == {"Limits": {}}


def test_what_begins_with_an_init_gets_no_second_one() -> None:
    def init(**options: Any) -> bool:
        return spec.container(run(**options)).get("Init", False)

    assert init(build=None)
    assert init(build=BuildSpec(dockerfile="Dockerfile"))
    assert not init(build=BuildSpec())
    assert not init(build=BuildSpec(buildpacks=("https://example.org/a",)))
    assert init(build=BuildSpec(), entrypoint=("sh",)), "what is started instead of the image's own has none"


def test_everything_that_can_be_asked_for() -> None:
    asked = run(
        environment={"B": "2", "A": "1"},
        command=("serve",),
        entrypoint=("sh", "-c"),
        working_dir="/srv",
        user="web",
        mounts=(Mount("data", "/data", read_only=True),),
        healthcheck=HealthCheck(("CMD", "true"), 1.5, 2, 3, 4),
        cpus=0.25,
        memory_bytes=1 << 20,
    )
    found = spec.container(asked)
    assert (found["Env"], found["Command"], found["Args"]) == (["A=1", "B=2"], ["sh", "-c"], ["serve"])
    assert (found["Dir"], found["User"]) == ("/srv", "web")
    assert found["Mounts"][0] == {
        "Type": "volume",
        "Source": "01234567_data",
        "Target": "/data",
        "ReadOnly": True,
        "VolumeOptions": {"Labels": {"stackyard.app": APP}},
    }
    second = 1_000_000_000
    assert found["Healthcheck"] == {
        "Test": ["CMD", "true"],
        "Interval": 1.5 * second,
        "Timeout": 2 * second,
        "Retries": 3,
        "StartPeriod": 4 * second,
    }
    assert spec.limits(asked.service) == {"NanoCPUs": 250_000_000, "MemoryBytes": 1 << 20}


def test_a_long_interval_is_divided_and_its_failures_still_take_as_long() -> None:
    check = spec.healthcheck(HealthCheck(("CMD", "true"), interval=30, retries=3))
    assert (check["Interval"], check["Retries"]) == (5_000_000_000, 18)
    short = spec.healthcheck(HealthCheck(("CMD", "true"), interval=2, retries=5))
    assert (short["Interval"], short["Retries"]) == (2_000_000_000, 5)


def test_a_disabled_check_overrides_the_image_s_own() -> None:
    assert spec.healthcheck(HealthCheck(disabled=True)) == {"Test": ["NONE"]}
    assert spec.healthcheck(HealthCheck())["Test"] == []


@given(st.text(alphabet="{}a. \n\"'`"))
def test_no_value_holds_what_swarm_would_expand(value: str) -> None:
    left = spec.literal(value).replace('{{"{{"}}', "\0")
    assert "{{" not in left
    assert left.replace("\0", "{{") == value


def test_a_specification_changes_in_replicas_and_constraints_only() -> None:
    current = spec.service(run(), "net", ["node.hostname!=n3"])
    changed = spec.adjusted(current, 5, [])
    assert changed["Mode"] == {"Replicated": {"Replicas": 5}}
    assert changed["TaskTemplate"]["Placement"] == {}
    assert spec.adjusted(changed, 5, []) == changed
    assert changed["TaskTemplate"]["ContainerSpec"] == current["TaskTemplate"]["ContainerSpec"]


# --- placement ---------------------------------------------------------------------------------


def test_nodes_that_may_run_it() -> None:
    access = ClusterAccess("c", NODES)
    members = [member("n1"), member("n2", "down"), member("n3", availability="drain")]
    assert [node.name for node in placement.eligible(access, run(), members)] == ["n1"]
    assert placement.eligible(access, run(pin="n2"), members) == []
    assert placement.down(members) == {"id-n2": "n2"}


@pytest.mark.parametrize(
    ("replicas", "pin", "warm", "expected"),
    [
        (2, None, ["n1", "n2"], ["n3"]),
        (1, None, ["n1", "n2"], ["n3"]),
        (3, None, ["n1", "n2"], []),
        (2, None, [], []),
        (0, None, ["n1"], []),
        (1, "n1", ["n1"], []),
    ],
)
def test_cold_nodes_are_avoided_only_where_each_replica_has_a_warm_one(
    replicas: int, pin: str | None, warm: list[str], expected: list[str]
) -> None:
    assert placement.avoided(run(replicas, pin), ["n1", "n2", "n3"], warm) == expected


def test_placed_means_decided() -> None:
    on, off = {"DesiredState": "running", "NodeID": "x"}, {"DesiredState": "shutdown", "NodeID": "x"}
    assert placement.placed([on, on, off], 2)
    assert not placement.placed([on, {"DesiredState": "running"}], 2)
    assert not placement.placed([on, on], 1)


# --- images ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("r:5000/p/web@sha256:aa", ("r:5000/p/web", "sha256:aa")),
        ("r:5000/p/web:v1", ("r:5000/p/web", "v1")),
        ("r:5000/p/web", ("r:5000/p/web", "latest")),
        ("redis", ("redis", "latest")),
    ],
)
def test_references_are_split(image: str, expected: tuple[str, str]) -> None:
    assert images.split(image) == expected


def test_only_images_of_the_platform_s_registry_need_its_login() -> None:
    assert images.repository("r:5000/p/web@sha256:aa", "r:5000") == "p/web"
    assert images.repository("other/p/web@sha256:aa", "r:5000") is None


# --- what is seen ------------------------------------------------------------------------------


def service(replicas: int = 1) -> dict[str, Any]:
    return {"ID": "s", "Spec": spec.service(run(replicas, port=8000), "net")}


def task(state: str = "running", desired: str = "running", **more: Any) -> dict[str, Any]:
    status = {"State": state, "Timestamp": "1970-01-12T13:46:40.5Z", "Err": more.pop("error", "")}
    base = {
        "ID": "t1",
        "ServiceID": "s",
        "Slot": 1,
        "NodeID": "id-n1",
        "Spec": {"ContainerSpec": spec.container(run())},
    }
    return base | {"Status": status, "DesiredState": desired} | more


def container(
    state: str = "running", status: str = "Up", details: dict[str, Any] | None = None, **more: Any
) -> Container:
    labels = spec.labels(run(port=8000)) | {
        spec.SWARM_SERVICE: run().name,
        spec.SWARM_TASK: "t1",
        spec.SWARM_TASK_NAME: f"{run().name}.1.t1",
    }
    ports = [{"PrivatePort": 8000, "PublicPort": 32768, "Type": "tcp"}]
    listed = {"Id": "c" * 64, "State": state, "Status": status, "Labels": labels, "Ports": ports, "Created": NOW} | more
    return Container(NODES[0], listed, {"State": details, "HostConfig": {"Memory": 16 << 20}} if details else {})


def seen(tasks: list[dict[str, Any]], containers: list[Container], **options: Any) -> list[tuple[str, str]]:
    services = options.get("services", [service()])
    (found,) = observe.runs(services, tasks, containers, options.get("lost", {}), options.get("now", NOW))
    return [(each.state, each.reason) for each in found.tasks]


@pytest.mark.parametrize(
    ("state", "status", "expected"),
    [
        ("created", "Created", "starting"),
        ("running", "Up 2 seconds", "running"),
        ("running", "Up 2 seconds (health: starting)", "starting"),
        ("running", "Up 2 minutes (healthy)", "running"),
        ("running", "Up 2 minutes (unhealthy)", "unhealthy"),
        ("paused", "Up 2 minutes (Paused)", "unhealthy"),
    ],
)
def test_a_container_says_its_state_before_its_task_does(state: str, status: str, expected: str) -> None:
    for tasks in ([], [task("assigned")], [task("running")]):
        assert seen(tasks, [container(state, status)]) == [(expected, "")]


def test_it_is_not_running_until_its_port_is_published() -> None:
    assert seen([], [container(Ports=[])]) == [("starting", "")]
    (found,) = observe.runs([service()], [], [container()], {}, NOW)
    assert [(each.endpoint, each.slot, each.id) for each in found.tasks] == [("192.0.2.1:32768", 1, "t1")]


def test_a_replica_tells_the_image_that_its_container_was_made_of() -> None:
    (found,) = observe.runs([service()], [task("pending") | {"ID": "t2"}], [container(ImageID="sha256:ab")], {}, NOW)
    assert {each.id: each.image for each in found.tasks} == {"t1": "sha256:ab", "t2": ""}


def test_an_early_proof_counts_for_what_is_routed_only() -> None:
    starting = dataclasses.replace(container("running", "Up 1 second (health: starting)"), proved=True)
    assert seen([], [starting]) == [("running", "")]
    unrouted = {key: value for key, value in starting.labels.items() if key != spec.PORT}
    named = dataclasses.replace(starting, listed={**starting.listed, "Labels": unrouted})
    assert seen([], [named]) == [("starting", "")]


def test_what_swarm_takes_away_is_not_counted() -> None:
    for desired in ("shutdown", "remove"):
        assert seen([task("running", desired)], [container()]) == []
        assert seen([task("running", desired)], [container("exited", details={"ExitCode": 143})]) == []
        assert seen([task("shutdown", desired)], []) == []


def test_tasks_tell_what_is_no_container_yet() -> None:
    assert seen([task("pending", error="no suitable node", NodeID="")], []) == [("pending", "no node fits")]
    assert seen([task("preparing")], []) == [("pending", "")]
    assert seen([task("running")], []) == [("starting", "")]
    assert seen([task("running")], [], lost={"id-n1": "n1"}) == [("pending", "node n1 is down")]
    assert seen([task("rejected", "shutdown", error="No such image: x")], []) == [
        ("exited", "its image can't be pulled: No such image: x")
    ]
    failed = task("failed", "shutdown", error="starting container failed: no such file")
    assert seen([failed], [container("created")]) == [("exited", "starting container failed: no such file")]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"ExitCode": 0}, "exited with code 0 (it ended by itself; a service goes on running)"),
        ({"ExitCode": 2}, "exited with code 2"),
        ({"ExitCode": 127}, "exited with code 127 (its command was not found: is it in the image, under this name?)"),
        ({"ExitCode": 126}, "exited with code 126 (its command can't be executed: is it marked as executable?)"),
        ({"ExitCode": 139}, "killed by signal 11 (SIGSEGV: it touched memory that is not its own)"),
        ({"ExitCode": 143}, "killed by signal 15 (SIGTERM: it was asked to stop)"),
        ({"ExitCode": 255}, "exited with code 255"),
        ({"ExitCode": 137, "OOMKilled": True}, f"ran out of memory: its limit is 16 MiB; {reasons.MEMORY_CURE}"),
        ({"ExitCode": 127, "Error": "no such file"}, "could not start: no such file"),
        (
            {"ExitCode": 127, "Error": 'OCI runtime create failed: exec: "serve": executable file not found in $PATH'},
            "could not start: its command 'serve' was not found; is it in the image, under this name?",
        ),
        (
            {
                "ExitCode": 126,
                "Error": 'starting container process caused: exec: "/run.sh": permission denied: unknown',
            },
            "could not start: its command '/run.sh' can't be executed; mark it as executable (chmod +x)",
        ),
        (
            {"ExitCode": 137},
            f"killed by signal 9 (SIGKILL), probably out of memory: its limit is 16 MiB; {reasons.MEMORY_CURE}",
        ),
        (
            {"ExitCode": 143, "Health": {"Status": "unhealthy", "Log": [{"Output": "refused\n"}]}},
            "stopped because its health check failed: refused",
        ),
    ],
)
def test_ends_in_words(state: dict[str, Any], expected: str) -> None:
    assert seen([task("failed", "shutdown")], [container("exited", details=state)]) == [("exited", expected)]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("task: non-zero exit (3)", "exited with code 3"),
        (
            "no suitable node (insufficient resources on 2 nodes; scheduling constraints not satisfied on 1 node)",
            "no node fits: too few free cores or too little free memory on 2 nodes;"
            " not the node that holds its volumes on 1 node",
        ),
        ("something new", "something new"),
        ("", ""),
    ],
)
def test_what_swarm_says_in_words(told: str, expected: str) -> None:
    assert reasons.task_reason(told) == expected


@given(st.integers(0, 255), st.integers(0, 1 << 40))
def test_every_code_has_words(code: int, limit: int) -> None:
    words = reasons.of_code(code, limit)
    assert str(code) in words or str(code - 128) in words


def test_the_newest_failures_come_first_and_old_ones_are_forgotten() -> None:
    ended = [
        container(
            "exited",
            details={"ExitCode": code, "FinishedAt": f"1970-01-12T13:{40 + code}:00Z"},
            Labels={
                **container().labels,
                spec.SWARM_TASK: f"t{code}",
            },
        )
        for code in range(1, 9)
    ]
    codes = [reason for _, reason in seen([], ended, now=observe.moment("1970-01-12T13:49:00Z"))]
    assert codes == [f"exited with code {code}" for code in (8, 7, 6, 5, 4)]
    assert seen([], ended, now=observe.moment("1970-01-12T15:00:00Z")) == []


def test_containers_without_their_service_are_a_run_to_be_stopped() -> None:
    (found,) = observe.runs([], [], [container()], {}, NOW)
    assert (found.name, found.service, found.release, found.digest, found.replicas) == (run().name, "web", 7, "abc", 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-02T00:00:00Z", 86400.0),
        ("1970-01-02T00:00:00.250000001Z", 86400.250000001),
        ("1970-01-02T02:00:00.5+02:00", 86400.5),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
    ],
)
def test_times(text: str, expected: float | None) -> None:
    assert observe.moment(text) == expected
