# SPDX-License-Identifier: Apache-2.0
"""Compose files: what is read, and what every wrong one is told."""

import contextlib
import itertools
import string
import textwrap

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stackyard.drivers.builders import compose, dependencies, documents, quantities, schema
from stackyard.drivers.builders.environment import env_file
from stackyard.drivers.files import interpolation
from stackyard.model import errors
from stackyard.model.applications import AppSpec, BuildSpec, HealthCheck, Mount, Service


def no_files(name: str) -> str:
    raise errors.BadInput(f"there is no file {name!r} in the source tree")


def parse(text: str) -> AppSpec:
    return compose.parse(textwrap.dedent(text), no_files)


def service(lines: str) -> Service:
    """Return the one service `web` that has these lines."""
    body = textwrap.indent(textwrap.dedent(lines).strip("\n"), "    ")
    return parse(f"services:\n  web:\n{body}\nvolumes:\n  data:\n").services[0]


def refusal(text: str) -> str:
    with pytest.raises(errors.BadInput) as caught:
        parse(text)
    return str(caught.value)


def test_a_whole_file() -> None:
    spec = parse("""
        name: guestbook
        x-web: &defaults
          restart: unless-stopped
          environment: {LANG: C.UTF-8, VERSION: 1.10, DEBUG: true, EMPTY: "", N: 010}
        services:
          web:
            <<: *defaults
            build: {context: ./web, args: [A=1, "B=x=y"], target: run}
            command: gunicorn --bind "0.0.0.0:8000" 'a b'
            ports: ["8080:8000", "9000"]
            depends_on:
              cache: {condition: service_healthy}
              db: {condition: service_started}
            deploy: {replicas: 3, resources: {limits: {cpus: "0.5", memory: 512m}}}
            stop_grace_period: 1m30s
            labels: {a: b}
            init: true
          cache:
            image: redis:7
            command: [redis-server, --appendonly, "yes"]
            healthcheck: {test: redis-cli ping, interval: 500ms, timeout: 2s, retries: 5, start_period: 1h}
            user: 1000
            working_dir: /data
          db:
            image: example.org:5000/team/db@sha256:0000000000000000000000000000000000000000000000000000000000000000
            volumes: ["data:/var/lib/db/", {type: volume, source: logs, target: /logs, read_only: true}]
            depends_on: [cache]
            entrypoint: []
        volumes: {data: , logs: {}}
        networks: {default: }
    """)
    assert [one.name for one in spec.services] == ["cache", "db", "web"]
    cache, db, web = spec.services
    assert spec.volumes == ("data", "logs")
    assert web.build == BuildSpec("web", None, {"A": "1", "B": "x=y"}, "run")
    assert web.command == ("gunicorn", "--bind", "0.0.0.0:8000", "a b")
    assert web.environment == {"LANG": "C.UTF-8", "VERSION": "1.10", "DEBUG": "true", "EMPTY": "", "N": "010"}
    assert (web.port, web.replicas, web.cpus, web.memory_bytes, web.stop_grace) == (8000, 3, 0.5, 512 * 1024**2, 90.0)
    assert web.depends_on == ("cache", "db")
    assert cache.healthcheck == HealthCheck(("CMD-SHELL", "redis-cli ping"), 0.5, 2.0, 5, 3600.0)
    assert (cache.port, cache.user, cache.working_dir) == (None, "1000", "/data")
    assert db.mounts == (Mount("data", "/var/lib/db"), Mount("logs", "/logs", True))
    assert (db.command, db.entrypoint) == (None, ())
    assert any("only the first" in note for note in spec.notes)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("image: redis\nimagee: x", "unknown key 'imagee' in service 'web' (did you mean 'image'?)"),
        ("image: redis\nprivileged: true", "unsupported option 'privileged' in service 'web'"),
        ("image: redis\nnetwork_mode: host", "unsupported option 'network_mode'"),
        ("image: redis\ncap_add: [ALL]", "unsupported option 'cap_add'"),
        ("image: redis\ndevices: [/dev/kvm]", "unsupported option 'devices'"),
        ("image: redis\nsecrets: [a]", "asks for secret 'a', which is not declared"),
        ("build: {context: ., network: host}", "unsupported option 'network' in build of service 'web'"),
        ("build: {contxt: .}", "unknown key 'contxt' in build of service 'web' (did you mean 'context'?)"),
        ("build: ../other", "not within the source tree"),
        ("build: /etc", "not within the source tree"),
        ("build: https://example.org/a.git", "is remote"),
        ("build: {dockerfile: ../../x}", "not within"),
        ("command: x", "has neither image nor build"),
        ("image: 'Not An Image'", "is no image name"),
        ("image: 3", "image of service 'web' must be a string, not '3'"),
        ("image: redis\ncommand: 'a \"b'", "can't be split into words"),
        ("image: redis\nports: [70000]", "ports are numbers from 1 to 65535"),
        ("image: redis\nports: ['8000-8010']", "port ranges"),
        ("image: redis\nports: ['53/udp']", "unsupported protocol 'udp'"),
        ("image: redis\nports: [http]", "is no port"),
        ("image: redis\nports: {a: 1}", "must be a list of ports, not a mapping"),
        ("image: redis\nports: [{published: 80}]", "ports[0] of service 'web' lacks target"),
        ("image: redis\nvolumes: [./src:/app]", "mounts a folder of the host"),
        ("image: redis\nvolumes: ['/etc:/etc']", "mounts a folder of the host"),
        ("image: redis\nvolumes: [{type: bind, source: ., target: /a}]", "mounts a folder of the host"),
        ("image: redis\nvolumes: [{type: tmpfs, target: /a}]", "unsupported type 'tmpfs'"),
        ("image: redis\nvolumes: [/data]", "has no name"),
        ("image: redis\nvolumes: ['data:/']", "absolute path other than /"),
        ("image: redis\nvolumes: ['data:/a:z']", "is no volume"),
        ("image: redis\nvolumes: ['data:/a', 'data:/a/']", "mounted on twice"),
        ("image: redis\nvolumes: ['dat:/data']", "'dat', which is not declared"),
        ("image: redis\ndepends_on: [db]", "depends_on 'db', which is no service"),
        ("image: redis\ndepends_on: {web: {condition: service_completed_successfully}}", "unsupported condition"),
        ("image: redis\ndepends_on: [web]", "web -> web"),
        ("image: redis\nhealthcheck: {test: [ping]}", "must begin with NONE, CMD or CMD-SHELL"),
        ("image: redis\nhealthcheck: {test: a, interval: 10}", "must be a duration such as 10s, not '10'"),
        ("image: redis\nhealthcheck: {test: a, interval: 10 s}", "is no duration"),
        ("image: redis\nhealthcheck: {test: a, retries: 0}", "a number from 1 to 1000"),
        ("image: redis\ndeploy: {replicas: -1}", "deploy.replicas of service 'web' must be a number from 0 to 100"),
        ("image: redis\nscale: 101", "a number from 0 to 100"),
        ("image: redis\nscale: 2\ndeploy: {replicas: 3}", "both scale and deploy.replicas"),
        ("image: redis\ndeploy: {mode: global}", "unsupported deploy.mode"),
        ("image: redis\ndeploy: {placement: {}}", "unsupported option 'placement' in deploy of service 'web'"),
        ("image: redis\ndeploy: {resources: {limits: {memory: 1m}}}", "less than 6m"),
        ("image: redis\ndeploy: {resources: {limits: {memory: lots}}}", "is no size"),
        ("image: redis\ncpus: none", "is no number of cores"),
        ("image: redis\nrestart: never", "restart of service 'web' must be"),
        ("image: redis\nenvironment: [HOME]", "HOME has no value"),
        ("image: redis\nenvironment: {1A: x}", "is no name of a variable"),
        ("image: redis\nenvironment: {A: [1]}", "environment.A of service 'web' must be a string"),
        ("image: redis\nenvironment: {A: $HOME}", "variable HOME has no value"),
        ("image: redis\nenvironment: {A: '${X:?set it}'}", "variable X is required: set it"),
        ("image: redis\nenvironment: {A: '${X'}", "is not closed"),
        ("image: redis\nenvironment: {A: '$1'}", "write '$$'"),
        ("image: redis\nnetworks: [front]", "unsupported network 'front' in service 'web'"),
        ("image: redis\nenv_file: .env", "there is no file '.env'"),
        ("image: redis\nimage: nginx", "line 4: key 'image' is there twice (first in line 3)"),
    ],
)
def test_wrong_services(lines: str, words: str) -> None:
    with pytest.raises(errors.BadInput) as caught:
        service(lines)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("[]", "must be a mapping with services, not a list"),
        ("hello", "must be a mapping with services"),
        ("version: '3'", "lacks services"),
        ("services: {}", "1 to 50 services"),
        ("services: {web: redis}", "service 'web' must be"),
        ("services: {Web_1: {image: redis}}", "must be a DNS label"),
        ("services: {" + "a" * 64 + ": {image: redis}}", "must be a DNS label"),
        ("services: {web: {image: redis}}\nservice: {}", "unknown key 'service' (did you mean 'services'?)"),
        ("services: {web: {image: redis}}\ninclude: {}", "unsupported option 'include'"),
        ("services: {web: {image: redis}}\nnetworks: {front: {}}", "unsupported network 'front'"),
        (
            "services: {web: {image: redis}}\nvolumes: {d: {external: true}}",
            "unsupported option 'external' in volume 'd'",
        ),
        ("services: {web: {image: redis}}\nvolumes: {d: {driver: nfs}}", "unsupported driver 'nfs'"),
        ("services:\n\tweb: x", "line 2"),
        ("services: {web: {image: redis}", "line"),
        ("services: !!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("a: &a [*a]", "contains itself"),
        ("{[a]: b}", "plain word"),
        ("a: b\n---\nc: d", "line"),
        ("\x00", "no YAML"),
        ("[" * 5000, "nest"),
    ],
)
def test_wrong_files(text: str, words: str) -> None:
    assert words in refusal(text)


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "aliases are written out" in refusal("\n".join(["a0: &a0 [x, x]", *levels]))


def test_a_cycle_is_named() -> None:
    text = "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [c]}, c: {image: x, depends_on: [b]}}"
    assert "circle: b -> c -> b" in refusal(text)


def test_several_faults_are_told_together() -> None:
    lines = refusal("services: {a: {image: x, b1: , b2: , b3: , b4: , b5: , b6: }}").splitlines()
    assert len(lines) == 6
    assert lines[-1] == "and 1 more"


def test_what_yaml_1_1_would_spoil() -> None:
    lines = "restart: no\nports: [22:22]\nenvironment: {A: yes, B: 2024-01-01, C: 1e3, D: 0x10}"
    one = service(f"image: redis\n{lines}")
    assert one.port == 22
    assert one.environment == {"A": "yes", "B": "2024-01-01", "C": "1e3", "D": "0x10"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A:-x}", "x"),
        ("${A-x}", "x"),
        ("a${A:-${B:-y}}b", "ayb"),
        ("$$HOME $${A}", "$HOME ${A}"),
        ("${A:+x}", ""),
        ("${SET}", "s"),
        ("$SET-", "s-"),
        ("${SET:-x}${EMPTY:-x}${EMPTY-x}", "sx"),
        ("${SET:+x}${EMPTY:+x}${EMPTY+x}", "xx"),
        ("${A:-}", ""),
        ("${A:-a b: c}", "a b: c"),
    ],
)
def test_interpolation(text: str, value: str) -> None:
    assert interpolation.interpolate({"k": [text]}, {"SET": "s", "EMPTY": ""}) == {"k": [value]}


@given(st.text(alphabet="ab$", max_size=20))
def test_doubled_dollars_are_literal(text: str) -> None:
    assert interpolation.interpolate(text.replace("$", "$$"), {}) == text


@given(st.text(alphabet="ab${}:-+?$ ", max_size=30))
def test_interpolation_ends_and_raises_only_bad_input(text: str) -> None:
    with contextlib.suppress(errors.BadInput):
        assert isinstance(interpolation.interpolate(text, {"a": "1"}), str)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_durations(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s{milliseconds}ms"
    assert quantities.seconds(text, "x") == pytest.approx(hours * 3600 + minutes * 60 + seconds + milliseconds / 1000)


@pytest.mark.parametrize(("text", "size"), [("6m", 6291456), ("1.5gb", 1610612736), ("2KiB", 2048), (7, 7), ("7b", 7)])
def test_sizes(text: str | int, size: int) -> None:
    assert quantities.size(text, "x") == size


NAMES = st.text(alphabet=string.ascii_lowercase, min_size=1, max_size=3)


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=4), max_size=8))
def test_order_puts_each_after_what_it_needs_or_names_a_real_cycle(graph: dict[str, list[str]]) -> None:
    graph = {name: [other for other in needs if other in graph] for name, needs in graph.items()}
    try:
        order = dependencies.in_order(graph)
    except errors.BadInput as error:
        path = str(error).split("circle: ")[1].split(";")[0].split(" -> ")
        assert path[0] == path[-1]
        assert all(after in graph[before] for before, after in itertools.pairwise(path))
    else:
        assert sorted(order) == sorted(graph)
        assert all(order.index(other) < order.index(name) for name, needs in graph.items() for other in needs)


def test_a_long_chain_needs_no_recursion() -> None:
    graph = {str(n): [str(n + 1)] for n in range(5000)} | {"5000": []}
    assert dependencies.in_order(graph)[0] == "5000"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)
KEYS = st.sampled_from([*schema.SERVICE["properties"], "privileged", "x-a", "nonsense"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=5), VALUES)
def test_no_file_whatever_raises_anything_but_bad_input(asked: dict[str, object], volumes: object) -> None:
    text = yaml.safe_dump({"services": {"web": asked}, "volumes": volumes})
    with contextlib.suppress(errors.BadInput):
        assert compose.parse(text, no_files).services[0].name == "web"


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab:-[]{}&*!|>'\"#\n ,?%@`~<x0.")), max_size=60))
def test_no_text_whatever_raises_anything_but_bad_input(text: str) -> None:
    with contextlib.suppress(errors.BadInput):
        compose.parse(text, no_files)


def test_numbers_are_shown_as_written() -> None:
    loaded = documents.load("[1.10, 0x1F, +5, 1.]")
    assert [str(value) for value in loaded] == ["1.10", "0x1F", "+5", "1."]
    assert loaded[1] == 31


def test_env_files() -> None:
    text = '# c\n\nA=1\nexport B = two words # no\nC=\'$x # y\'\nD="a\\nb \\"q\\""\nE=\nF=a#b\n'
    expected = {"A": "1", "B": "two words", "C": "$x # y", "D": 'a\nb "q"', "E": "", "F": "a#b"}
    assert env_file(text, "f") == expected
    with pytest.raises(errors.BadInput, match="f, line 2: write NAME=VALUE"):
        env_file("A=1\nnonsense\n", "f")


def test_env_files_are_overridden_by_environment() -> None:
    files = {"a.env": "A=1\nB=1\n", "b.env": "B=2\nC=2\n"}
    text = "services: {w: {image: x, env_file: [a.env, b.env], environment: {C: 3}}}"
    assert compose.parse(text, files.__getitem__).services[0].environment == {"A": "1", "B": "2", "C": "3"}


def test_a_registry_and_what_it_is_told() -> None:
    text = """
x-stackyard: {registry: consul}
services:
  consul: {image: consul, ports: ["8500"]}
  web: {image: web, ports: ["80"], labels: {SERVICE_NAME: shop, other: x}}
"""
    spec = parse(text)
    assert spec.registry == "consul"
    assert {service.name: service.labels for service in spec.services} == {
        "consul": {},
        "web": {"SERVICE_NAME": "shop"},
    }
    for wrong in ("nobody", "[consul]"):
        with pytest.raises(errors.BadInput, match="there is no service"):
            parse(text.replace("registry: consul", f"registry: {wrong}"))
    with pytest.raises(errors.BadInput, match="publishes no port"):
        parse(text.replace(', ports: ["8500"]', ""))
