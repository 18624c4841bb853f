# SPDX-License-Identifier: Apache-2.0
"""Sample applications of every language pack, built for real, served, and changed."""

import pathlib
import re
import shutil
import time
from collections.abc import Iterator

import builders_rig
import docker
import loopback_registry
import pytest
import requests
from builders_rig import Bench, client

from stackyard.local import images

pytestmark = pytest.mark.engine

SAMPLES = pathlib.Path(__file__).parents[1] / "samples"
SLOW = pytest.mark.stacks
STACKS = {
    "python": ["python"],
    "nodejs": ["nodejs"],
    "nodejs-site": ["nodejs", "static"],
    "static": ["static"],
    "go": ["run", "go"],
    "java": ["java", "java-build"],
    "ruby": ["ruby"],
    "php": ["php", "php-build"],
}


@pytest.fixture(scope="module")
def engine() -> docker.DockerClient:
    return client()


@pytest.fixture(scope="module")
def registry(engine: docker.DockerClient) -> Iterator[loopback_registry.LoopbackRegistry]:
    with builders_rig.registry(engine, "sytest-builders-packs-registry") as running:
        yield running


def sample(name: str, folder: pathlib.Path, registry: loopback_registry.LoopbackRegistry) -> Bench:
    engine = client()
    images.build(engine, STACKS[name], lambda *_: None)
    shutil.copytree(SAMPLES / name, folder / name)
    return Bench(folder / name, registry, engine)


@pytest.mark.parametrize(
    ("name", "source", "says"),
    [
        ("python", "app.py", "python one"),
        ("nodejs", "build.js", "nodejs one 60000 without tools"),
        ("nodejs-site", "package.json", "site one"),
        ("static", "index.html", "static one"),
        pytest.param("go", "main.go", "go one", marks=SLOW),
        pytest.param("java", "src/main/java/sample/Server.java", "java one", marks=SLOW),
        pytest.param("ruby", "app.rb", "ruby one", marks=SLOW),
        pytest.param("php", "public/index.php", "php one", marks=SLOW),
    ],
)
def test_a_sample_from_first_build_to_changed_code(
    tmp_path: pathlib.Path, registry: loopback_registry.LoopbackRegistry, name: str, source: str, says: str
) -> None:
    bench = sample(name, tmp_path, registry)
    spent = {}
    started = time.monotonic()
    first = bench.push()
    spent["first"] = time.monotonic() - started
    with bench.serving(first) as url:
        assert says in requests.get(url, timeout=5).text

    started = time.monotonic()
    assert bench.push() == first
    spent["same"] = time.monotonic() - started

    path = bench.folder / source
    path.write_text(re.sub(r"\bone\b", "two", path.read_text()))
    started = time.monotonic()
    second = bench.push()
    spent["changed"] = time.monotonic() - started
    with bench.serving(second) as url:
        assert says.replace("one", "two") in requests.get(url, timeout=5).text

    seen = bench.engine.api.inspect_image(second)
    assert seen["Config"]["User"] == "app"
    assert not [name for name in seen["Config"]["Env"] if "CERT" in name or "/cache" in name]
    size = f"{seen['Size'] / 1e6:.0f} MB"
    print(f"\n{name}:", *(f"{what} {seconds:.2f} s" for what, seconds in spent.items()), size)
