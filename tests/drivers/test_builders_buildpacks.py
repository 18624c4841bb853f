# SPDX-License-Identifier: Apache-2.0
"""Third-party buildpacks from a real git server: Heroku's API and the Cloud Native Buildpack API, built and served."""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Iterator

import builders_rig
import docker
import git_server
import loopback_registry
import pytest
import requests
from builders_rig import Bench, client

from stackyard.drivers.builders import labels
from stackyard.local import images
from stackyard.model import errors
from stackyard.model.applications import BuildSpec, Service

pytestmark = [pytest.mark.engine, pytest.mark.stacks, pytest.mark.timeout(2400)]

APP = "sytestb5-0000"
SAMPLES = pathlib.Path(__file__).parents[1] / "samples" / "buildpacks"
TYPE = "CNB_PROCESS_TYPE"


@pytest.fixture(scope="module")
def engine() -> docker.DockerClient:
    return client()


@pytest.fixture(scope="module")
def registry(engine: docker.DockerClient) -> Iterator[loopback_registry.LoopbackRegistry]:
    images.build(engine, ["buildpack", "buildpack-build"], lambda *_: None)
    with builders_rig.registry(engine, "sytest-builders-buildpacks-registry", APP) as running:
        yield running


@pytest.fixture
def served(tmp_path: pathlib.Path) -> Iterator[str]:
    for path in SAMPLES.iterdir():
        git_server.copied(path, tmp_path / "git" / path.name)
    with git_server.serving(tmp_path / "git") as url:
        yield url


@pytest.fixture
def bench(tmp_path: pathlib.Path, registry: loopback_registry.LoopbackRegistry, engine: docker.DockerClient) -> Bench:
    shutil.copytree(SAMPLES / "application", tmp_path / "application")
    # An application of its own for each test: caches are by application.
    return Bench(tmp_path / "application", registry, engine, f"{APP}-{tmp_path.name[-12:]}".lower())


@pytest.fixture(autouse=True)
def clean(bench: Bench) -> Iterator[None]:
    yield
    builders_rig.forget(bench.engine, bench.registry.address(), bench.app)


def name(bench: Bench, *urls: str) -> None:
    (bench.folder / ".buildpacks").write_text("# in this order\n" + "".join(f"{url}\n" for url in urls))


def page(bench: Bench, image: str) -> str:
    with bench.serving(image) as url:
        return requests.get(url, timeout=5).text


def test_a_buildpack_of_heroku_s_api(bench: Bench, served: str) -> None:
    name(bench, f"{served}/heroku-greeting")
    first = bench.push()
    assert page(bench, first) == "hello one, no word, /app\nfrom release\nMODE=from release"
    assert "compiling for the 1. time on heroku-22" in bench.said()
    assert bench.push() == first
    assert "The application is unchanged" in bench.said()
    (bench.folder / "greeting.txt").write_text("hello two")
    second = bench.push()
    assert page(bench, second).startswith("hello two,")
    assert "compiling for the 2. time" in bench.said()
    seen = bench.engine.api.inspect_image(second)["Config"]
    assert (seen["User"], seen["WorkingDir"]) == ("app", "/app")
    assert not [variable for variable in seen["Env"] if "CERT" in variable or "/cache" in variable]


def test_one_that_requires_what_another_provides(bench: Bench, served: str) -> None:
    name(bench, f"{served}/cnb-answer", f"{served}/cnb-site#main")
    first = bench.push()
    assert page(bench, first).splitlines() == [
        "answer 42",
        "hello one tail",
        "",
        "TRAIL=tail",
        "FALLBACK=a default",
        "ONLY=only web",
        "PROFILED=profiled web",
    ]
    assert "answer 42: made" in bench.said()
    assert "was made for io.buildpacks.stacks.jammy; it runs on Debian 12 here" in bench.said()
    (bench.folder / "more.txt").write_text("more")
    second = bench.push()
    assert "answer 42: from the cache" in bench.said()
    assert "text: as it was" in bench.said()
    assert "answer 42" in page(bench, second)
    before, after = (bench.engine.api.inspect_image(each)["RootFS"]["Layers"] for each in (first, second))
    assert before[:-1] == after[:-1], "only the application's own layer is another one"


def test_labels_and_processes(bench: Bench, served: str) -> None:
    name(bench, f"{served}/cnb-answer", f"{served}/cnb-site")
    bench.revision = "abc123"
    image = bench.push()
    config = bench.engine.api.inspect_image(image)
    told = {
        key: json.loads(config["Config"]["Labels"][key]) for key in (labels.LIFECYCLE, labels.BUILD, labels.PROJECT)
    }
    assert [each["key"] for each in told[labels.LIFECYCLE]["buildpacks"]] == ["sample/answer", "sample/site"]
    layer = told[labels.LIFECYCLE]["buildpacks"][0]["layers"]["answer"]
    assert layer["sha"] in config["RootFS"]["Layers"]
    assert (layer["launch"], layer["build"], layer["cache"]) == (True, True, True)
    assert told[labels.LIFECYCLE]["runImage"]["topLayer"] in config["RootFS"]["Layers"]
    assert {each["type"] for each in told[labels.BUILD]["processes"]} == {"web", "worker"}
    assert told[labels.PROJECT]["source"]["version"]["commit"] == "abc123"
    assert config["Config"]["Labels"]["org.example.made-by"] == "sample/site"
    container = bench.engine.containers.run(
        image, environment={TYPE: "worker"}, detach=True, name="sytest-builders-worker", network_mode="none"
    )
    try:
        lines = container.logs(stream=True)
        assert [next(lines).decode().strip() for _ in range(2)] == ["worker profiled worker", "answer 42"]
    finally:
        container.remove(force=True)
    assert bench.run(image, "answer") == "answer 42\n", "one-off commands have the environment too"


def test_the_first_group_of_an_order_that_fits(bench: Bench, served: str) -> None:
    name(bench, f"{served}/cnb-order", f"{served}/cnb-answer", f"{served}/cnb-site")
    image = bench.push()
    said = bench.said()
    assert said.count("===> Detecting with sample/other") == 1
    assert [line.rpartition(" ")[2] for line in said.splitlines() if "===> Building" in line] == [
        "sample/answer",
        "sample/site",
        "sample/exec",
    ]
    assert "MODE=of all, then of web" in page(bench, image).splitlines(), "programs of exec.d set variables at launch"
    told = json.loads(bench.engine.api.inspect_image(image)["Config"]["Labels"][labels.BUILD])
    assert [each["id"] for each in told["buildpacks"]] == ["sample/answer", "sample/site", "sample/exec"]


def test_an_order_of_what_nobody_has(bench: Bench, served: str) -> None:
    name(bench, f"{served}/cnb-order")
    with pytest.raises(errors.BadInput, match=r"sample/answer is neither in its repository nor .* name that one too"):
        bench.push()


def test_a_procfile_goes_before_what_they_say(bench: Bench, served: str) -> None:
    name(bench, f"{served}/heroku-greeting")
    (bench.folder / "Procfile").write_text("web: python3 server.py own\nclock: sleep 1\n")
    spec = bench.builder().detect(str(bench.folder))
    assert [service.name for service in spec.services] == ["web", "clock"]
    assert page(bench, bench.push()).startswith("own")


def test_compose_names_them_and_gives_variables(bench: Bench, served: str) -> None:
    (bench.folder / "compose.yaml").write_text(
        f"x-stackyard: {{buildpacks: ['{served}/heroku-greeting']}}\n"
        "services:\n  web:\n    build: {context: ., args: {WORD: a word}}\n"
    )
    assert page(bench, bench.push()).startswith("hello one, a word, /app")


@pytest.mark.parametrize(
    ("urls", "says"),
    [
        (["cnb-site"], "answer is required by a buildpack, and none before it provides it|nobody-has-this is required"),
        (["cnb-site", "cnb-answer"], "is required by a buildpack, and none before it provides it"),
        (["cnb-answer"], "answer is provided by a buildpack, and none after it requires it"),
        (["application"], "is no buildpack: it has neither bin/detect and bin/compile"),
        (["absent"], "git can't fetch"),
        (["cnb-site#no-such-branch"], "check that branch, tag or commit 'no-such-branch' exists"),
    ],
)
def test_what_can_not_be_built(bench: Bench, served: str, urls: list[str], says: str) -> None:
    name(bench, *(f"{served}/{url}" for url in urls))
    with pytest.raises((errors.GiveUp, errors.BadInput), match=says):
        bench.push()


def test_one_that_is_not_for_this_application(bench: Bench, served: str) -> None:
    name(bench, f"{served}/heroku-greeting")
    (bench.folder / "greeting.txt").unlink()
    with pytest.raises(errors.GiveUp, match="heroku-greeting says that it is not for this application"):
        bench.push()


def test_one_that_names_no_process(bench: Bench, served: str, tmp_path: pathlib.Path) -> None:
    pack = tmp_path / "git" / "silent"
    shutil.copytree(SAMPLES / "heroku-greeting", pack)
    (pack / "bin/release").unlink()
    git_server.commit(pack)
    name(bench, f"{served}/silent")
    with pytest.raises(errors.GiveUp, match="they named no process; add a Procfile"):
        bench.push()


def test_one_that_fails_says_why(bench: Bench, served: str, tmp_path: pathlib.Path) -> None:
    pack = tmp_path / "git" / "failing"
    shutil.copytree(SAMPLES / "heroku-greeting", pack)
    (pack / "bin/compile").write_text("#!/bin/sh\necho no compiler for this moon phase\nexit 3\n")
    git_server.commit(pack)
    name(bench, f"{served}/failing")
    with pytest.raises(errors.GiveUp, match=r"(?s)bin/compile of buildpack failing ended with 3") as failure:
        bench.push()
    assert "no compiler for this moon phase" in str(failure.value)


def test_limits_hold_for_buildpacks_too(bench: Bench, served: str, tmp_path: pathlib.Path) -> None:
    pack = tmp_path / "git" / "loud"
    shutil.copytree(SAMPLES / "heroku-greeting", pack)
    (pack / "bin/compile").write_text("#!/bin/sh\nyes\n")
    git_server.commit(pack)
    name(bench, f"{served}/loud")
    with pytest.raises(errors.GiveUp, match="was stopped; make it say less"):
        bench.build(
            Service("web", build=BuildSpec(buildpacks=(f"{served}/loud",))),
            builders_rig.Limits(output=100_000, seconds=60),
        )
