# SPDX-License-Identifier: Apache-2.0
"""Sample applications of every language pack, built for real, served, and changed."""

import json
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

from stackyard.drivers.builders import Limits
from stackyard.local import images
from stackyard.model import errors

# On a fresh machine the first test of a language makes its stack, from a package mirror that may be slow.
pytestmark = [pytest.mark.engine, pytest.mark.timeout(2400)]

APP = "sytestb2-0000"
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
    with builders_rig.registry(engine, "sytest-builders-packs-registry", APP) as running:
        yield running


def sample(name: str, folder: pathlib.Path, registry: loopback_registry.LoopbackRegistry) -> Bench:
    engine = client()
    images.build(engine, STACKS[name], lambda *_: None)
    shutil.copytree(SAMPLES / name, folder / name)
    return Bench(folder / name, registry, engine, APP)


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


def test_a_lock_file_that_only_its_tool_can_judge(
    tmp_path: pathlib.Path, registry: loopback_registry.LoopbackRegistry
) -> None:
    bench = sample("nodejs", tmp_path, registry)
    package = json.loads((bench.folder / "package.json").read_text())
    package["dependencies"]["ms"] = "2.0.0"
    package["overrides"] = {"left-pad": "1.3.0"}
    (bench.folder / "package.json").write_text(json.dumps(package))
    with pytest.raises(errors.GiveUp, match=r"run 'npm install' and push package-lock\.json\)") as failure:
        bench.push()
    assert "npm ended with 1" in str(failure.value)
    assert "Invalid: lock file's ms@2.1.3 does not satisfy ms@2.0.0" in str(failure.value)


def test_a_failing_build_script(tmp_path: pathlib.Path, registry: loopback_registry.LoopbackRegistry) -> None:
    bench = sample("nodejs-site", tmp_path, registry)
    (bench.folder / "package.json").write_text('{"scripts": {"build": "mkdir elsewhere"}}')
    with pytest.raises(errors.GiveUp, match=r"the application can't be built .* let the build script write to dist"):
        bench.push()


def test_a_result_that_is_too_large(tmp_path: pathlib.Path, registry: loopback_registry.LoopbackRegistry) -> None:
    bench = sample("nodejs-site", tmp_path, registry)
    script = "mkdir -p dist && touch dist/index.html && head -c 3000000 /dev/zero > dist/large"
    (bench.folder / "package.json").write_text(json.dumps({"scripts": {"build": script}}))
    with pytest.raises(errors.GiveUp, match="made 2 MiB of files, more than the 1 MiB allowed"):
        bench.build(limits=Limits(layer_bytes=1024 * 1024))


def test_a_static_site_in_its_details(tmp_path: pathlib.Path, registry: loopback_registry.LoopbackRegistry) -> None:
    bench = sample("static", tmp_path, registry)
    with bench.serving(bench.push()) as url:
        missing = requests.get(f"{url}/absent", timeout=5)
        assert (missing.status_code, "nothing at this address" in missing.text) == (404, True)
        assert requests.get(f"{url}/.hidden", timeout=5).status_code == 403
        assert requests.get(url, timeout=5).headers["Content-Type"].startswith("text/html")
    (bench.folder / "200.html").write_text("the application itself")
    with bench.serving(bench.push()) as url:
        assert requests.get(f"{url}/some/route", timeout=5).text == "the application itself"


@SLOW
def test_a_module_that_can_not_be_reached(tmp_path: pathlib.Path, registry: loopback_registry.LoopbackRegistry) -> None:
    bench = sample("go", tmp_path, registry)
    (bench.folder / "go.mod").write_text(
        "module example.com/team/sample\n\ngo 1.19\n\nrequire example.com/absent v1.0.0\n"
    )
    (bench.folder / "go.sum").write_text(
        "example.com/absent v1.0.0/go.mod h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    )
    (bench.folder / "main.go").write_text('package main\n\nimport _ "example.com/absent"\n\nfunc main() {}\n')
    with pytest.raises(errors.GiveUp, match=r"the application can't be built \(go build ended with 1; "):
        bench.push()


@SLOW
def test_a_package_that_must_be_compiled(tmp_path: pathlib.Path, registry: loopback_registry.LoopbackRegistry) -> None:
    bench = sample("python", tmp_path, registry)
    images.build(bench.engine, ["python-build"], lambda *_: None)
    (bench.folder / "setup.py").write_text(
        "from setuptools import Extension, setup\n"
        "setup(name='quick', py_modules=[], ext_modules=[Extension('quick', ['quick.c'])])\n"
    )
    (bench.folder / "quick.c").write_text(
        "#include <Python.h>\n"
        'static struct PyModuleDef quick = {PyModuleDef_HEAD_INIT, "quick", NULL, -1, NULL};\n'
        "PyMODINIT_FUNC PyInit_quick(void) { return PyModule_Create(&quick); }\n"
    )
    (bench.folder / "requirements.txt").write_text(".\n")
    (bench.folder / "app.py").write_text("import quick, shutil; print(quick.__name__, shutil.which('gcc'))")
    image = bench.push()
    assert "There is no compiler in stackyard/python: trying again with one" in bench.said()
    assert bench.run(image) == "quick None\n"
