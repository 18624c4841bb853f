# SPDX-License-Identifier: Apache-2.0
"""Builds on a real Engine with a real registry: the language pack, Dockerfiles, limits, and leftovers."""

import contextlib
import json
import pathlib
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator

import builders_rig
import docker
import loopback_registry
import pytest
from builders_rig import MARKER, NODE, PROJECT, Bench, client

from stackyard.drivers.builders import Limits, TenantBuilder
from stackyard.drivers.builders.host import build_files
from stackyard.local import images
from stackyard.model import errors
from stackyard.model.applications import BuildSpec, Service
from stackyard.model.ports import BuildRequest

pytestmark = pytest.mark.engine

APP = "sytestb1-0000"


@pytest.fixture(scope="module")
def engine() -> docker.DockerClient:
    return client()


@pytest.fixture(scope="module")
def registry(engine: docker.DockerClient) -> Iterator[loopback_registry.LoopbackRegistry]:
    with builders_rig.registry(engine, "sytest-builders-registry", APP) as running:
        yield running


@pytest.fixture
def bench(tmp_path: pathlib.Path, registry: loopback_registry.LoopbackRegistry, engine: docker.DockerClient) -> Bench:
    return Bench(tmp_path, registry, engine, APP)


def added(engine: docker.DockerClient, image: str, base: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file in the layers that an image has beyond its base."""
    below = len(engine.api.inspect_image(base)["RootFS"]["Layers"])
    with tempfile.TemporaryFile() as saved:
        for piece in engine.api.get_image(image):
            saved.write(piece)
        saved.seek(0)
        with tarfile.open(fileobj=saved) as outer:
            manifest = json.load(outer.extractfile("manifest.json"))  # type: ignore[arg-type]
            for name in manifest[0]["Layers"][below:]:
                with tarfile.open(fileobj=outer.extractfile(name)) as layer:
                    for entry in layer:
                        data = layer.extractfile(entry) if entry.isreg() else None
                        yield entry.name, data.read() if data else b""


def test_the_language_pack_from_first_build_to_changed_code(bench: Bench) -> None:
    bench.write(
        requirements_txt="itsdangerous==2.2.0\n",
        app_py="import itsdangerous, os; print('one', os.getuid(), os.environ['PORT'])",
    )
    (bench.folder / ".dockerignore").write_text("secret.txt\n")
    bench.write(secret_txt="hush")
    service = bench.builder().detect(str(bench.folder)).services[0]
    first = bench.build(service)
    assert "Installing the dependencies" in bench.said()
    assert first.startswith(f"{bench.registry.address()}/{PROJECT}/")
    assert bench.run(first) == "one 1000 8000\n"
    assert bench.run(first, "ls", "-A", "/app").split() == [".dockerignore", "app.py", "requirements.txt"]

    assert bench.registry.granted[-1] == ((f"{bench.repository()}-deps",), ("pull", "push"), ("stackyard/python",))

    bench.registry.granted.clear()
    assert bench.build(service) == first
    assert bench.registry.granted == []  # nothing was pushed or pulled

    bench.write(app_py="print('two')")
    second = bench.build(service)
    assert "unchanged" in bench.said()
    assert second != first
    assert bench.run(second) == "two\n"
    assert bench.registry.granted == [], "the registry was given the files, no engine"

    bench.write(requirements_txt="itsdangerous==2.1.2\n", app_py="import itsdangerous; print(itsdangerous.__version__)")
    assert bench.run(bench.build(service)) == "2.1.2\n"


def test_nothing_of_the_host_stays_in_an_image(bench: Bench) -> None:
    bench.write(requirements_txt="itsdangerous==2.2.0 # other key\n", app_py="")
    made = bench.build()
    base = images.build(bench.engine, ["python"], lambda *_: None)["python"]
    ca = build_files()["ca-certificates.crt"][:2000].encode()
    files = dict(added(bench.engine, made, base))
    assert any("itsdangerous/__init__.py" in name for name in files)  # what is looked through is the right thing
    assert [name for name in files if name.startswith("run/stackyard-build/")] == []
    assert [name for name, content in files.items() if MARKER.encode() in content or ca in content] == []
    seen = [bench.engine.api.inspect_image(made), bench.engine.api.history(made)]
    dependencies = next(tag for image in bench.engine.api.images("stackyard-deps") for tag in image["RepoTags"])
    assert bench.engine.api.inspect_image(dependencies)["Config"]["Entrypoint"] == ["/usr/bin/tini", "--"]
    seen += [bench.engine.api.inspect_image(dependencies), bench.engine.api.history(dependencies)]
    assert MARKER not in json.dumps(seen)
    assert not [word for image in (seen[0], seen[2]) for word in image["Config"]["Env"] if word.startswith("PIP_C")]


def test_dependencies_are_shared_between_nodes_through_the_registry(bench: Bench) -> None:
    bench.write(requirements_txt="itsdangerous==2.2.0 # third key\n", app_py="")
    bench.build()
    for image in bench.engine.api.images("stackyard-deps"):  # as on another node, which has never built this
        for tag in image["RepoTags"] or ():
            bench.engine.api.remove_image(tag, force=True)
    bench.build()
    assert "Fetching the dependencies" in bench.said()


def test_what_the_registry_lost_is_published_again(bench: Bench) -> None:
    bench.write(requirements_txt="itsdangerous==2.2.0 # a key of its own\n", app_py="print('one')")
    bench.push()
    bench.registry.lose(f"{bench.repository()}-deps")
    bench.write(app_py="print('two')")
    made = bench.push()
    assert "unchanged" in bench.said()
    assert bench.run(made) == "two\n"


def test_a_failing_installation_shows_pips_words_and_leaves_nothing(bench: Bench) -> None:
    bench.write(requirements_txt="itsdangerous==99.99\n", app_py="")
    with pytest.raises(errors.GiveUp, match=r"dependencies of requirements\.txt can't be installed") as failure:
        bench.build()
    assert "itsdangerous==99.99" in str(failure.value)
    assert "No matching distribution" in bench.said()
    assert bench.engine.containers.list(all=True, filters={"label": f"stackyard.build={APP}"}) == []


def test_leftovers_of_a_killed_build_are_found_by_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write(requirements_txt="itsdangerous==2.2.0 # fourth key\n", app_py="")
    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):

        def killed(*_: object) -> None:
            patch.undo()  # what the process would have cleaned up stays
            patch.setattr("stackyard.drivers.builders.workroom._remove", lambda *_: None)
            raise KeyboardInterrupt

        patch.setattr("stackyard.drivers.builders.workroom.Workroom.put", killed)
        bench.build()
    found = bench.engine.containers.list(all=True, filters={"label": f"stackyard.build={APP}"})
    assert [one.name.rsplit("-", 1)[0] for one in found] == [f"stackyard-deps-{APP[:8]}"]
    bench.build()
    assert bench.engine.containers.list(all=True, filters={"label": f"stackyard.build={APP}"}) == []


def test_an_editable_project_is_installed_with_its_tree(bench: Bench) -> None:
    bench.write(
        requirements_txt="-e .\n", setup_py="from setuptools import setup; setup(name='mine', py_modules=['mine'])"
    )
    bench.write(
        mine_py="WORD = 'a'", app_py="import mine, importlib.metadata as m; print(mine.WORD, m.version('mine'))"
    )
    assert bench.run(bench.build(Service("web", command=("python", "app.py"), build=BuildSpec()))) == "a 0.0.0\n"
    bench.write(mine_py="WORD = 'b'")
    assert bench.run(bench.build(Service("web", command=("python", "app.py"), build=BuildSpec()))) == "b 0.0.0\n"


def test_volumes_can_be_written_by_the_applications_user(bench: Bench) -> None:
    bench.write(app_py="open('/data/sub/x', 'w').write('1'); print('written')")
    service = Service("web", command=("python", "app.py"), build=BuildSpec(folders=("/data/sub",)))
    mounts = [docker.types.Mount("/data/sub", None, type="volume")]
    output = bench.engine.containers.run(bench.build(service), remove=True, mounts=mounts, network_mode="none")
    assert output == b"written\n"


def dockerfile(target: str | None = None, **args: str) -> Service:
    return Service("web", build=BuildSpec(dockerfile="Dockerfile", args=args, target=target))


def test_a_dockerfile_from_an_image_of_the_platform(bench: Bench) -> None:
    text = "FROM sytest-builders-from:1 AS one\nARG WORD=none\nRUN echo $WORD > /tmp/word\n"
    text += "FROM one\nRUN echo last >> /tmp/word\n"
    bench.write(Dockerfile=text)
    (bench.folder / ".dockerignore").write_text("*\n")
    assert bench.run(bench.build(dockerfile(WORD="given")), "cat", "/tmp/word") == "given\nlast\n"
    said = bench.said()
    assert "Step 1/5 : FROM sytest-builders-from:1 AS one" in said
    assert "--->" not in said
    again = bench.build(dockerfile(WORD="given"))
    assert " (cached)" in bench.said()
    assert bench.build(dockerfile("one", WORD="given")) != again
    assert bench.run(bench.build(dockerfile("one", WORD="x")), "cat", "/tmp/word") == "x\n"


def test_a_failing_dockerfile_shows_the_end_of_its_output(bench: Bench) -> None:
    command = "for n in $(seq 30); do echo line $n; done; echo warned >&2; sleep 0.3; echo oh no; exit 7"
    bench.write(Dockerfile=f"FROM sytest-builders-from:1\nRUN {command}\n")
    with pytest.raises(errors.GiveUp, match="returned a non-zero code: 7") as failure:
        bench.build(dockerfile())
    lines = str(failure.value).splitlines()
    assert lines[-1] == "oh no"
    assert len(lines) < 20
    assert "line 1\n" in bench.said()
    assert "warned\n" in bench.said()  # two streams: where between the lines is up to the engine


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FROM sytest-builders-from:1\nCOPY absent /x\n", "absent"),
        ("FROM sytest-builders-from:1\nNONSENSE x\n", "unknown instruction: NONSENSE"),
        ("# nothing\n", "no build stage|file with no instructions"),
    ],
)
def test_wrong_dockerfiles(bench: Bench, text: str, words: str) -> None:
    bench.write(Dockerfile=text)
    with pytest.raises(errors.GiveUp, match=words):
        bench.build(dockerfile())


def test_an_image_that_no_one_has(bench: Bench) -> None:
    bench.write(Dockerfile="FROM registry.invalid/absent:3\n")
    with pytest.raises(errors.GiveUp, match=r"'registry\.invalid/absent:3' was not found; asked: the public one"):
        bench.build(dockerfile())


def test_a_build_beyond_its_time_is_stopped_on_the_node_too(bench: Bench) -> None:
    bench.write(Dockerfile="FROM sytest-builders-from:1\nRUN sleep 86399\n")
    started = time.monotonic()
    with pytest.raises(errors.GiveUp, match="within 3 seconds"):
        bench.build(dockerfile(), Limits(seconds=3))
    assert time.monotonic() - started < 10

    def sleeping() -> list[str]:
        return [
            c.id for c in bench.engine.containers.list() if "sleep 86399" in " ".join(c.attrs["Config"]["Cmd"] or [])
        ]

    assert eventually(lambda: not sleeping())


def test_an_installation_beyond_its_time_is_stopped(bench: Bench) -> None:
    setup = "import time; time.sleep(86399)\n"
    bench.write(requirements_txt=".\n", setup_py=setup, app_py="")
    with pytest.raises(errors.GiveUp, match="within 4 seconds"):
        bench.build(limits=Limits(seconds=4))
    assert bench.engine.containers.list(all=True, filters={"label": f"stackyard.build={APP}"}) == []


def test_memory_is_limited(bench: Bench) -> None:
    bench.write(Dockerfile="FROM sytest-builders-from:1\nRUN python3 -c 'x = bytearray(400 * 1024 * 1024)'\n")
    with pytest.raises(errors.GiveUp, match="137"):
        bench.build(dockerfile(), Limits(memory_bytes=100 * 1024**2))


def test_plain_images_are_resolved_to_digests(bench: Bench) -> None:
    resolve: Callable[[str], str] = lambda image: bench.builder().resolve(NODE, image, PROJECT, print)  # noqa: E731
    found = resolve("sytest-builders-from:1")
    assert found.startswith(f"{bench.registry.address()}/library/sytest-builders-from@sha256:")
    assert resolve(found) == found
    assert resolve("docker.io/library/sytest-builders-from:1") == found
    with pytest.raises(
        errors.GiveUp, match=r"was not found; asked: the platform's registry \(library/sytest-builders-from\)"
    ):
        resolve("sytest-builders-from:absent")
    with pytest.raises(errors.GiveUp, match="was not found"):
        resolve(f"{bench.registry.address()}/other-project/app/web:1")


def test_an_engine_that_does_not_answer(bench: Bench) -> None:
    bench.write(app_py="")
    gone = docker.DockerClient(base_url="tcp://127.0.0.1:9", version="1.41", timeout=5)
    builder = TenantBuilder(bench.registry, {}, connect=lambda _node, _seconds: gone)
    request = BuildRequest(NODE, str(bench.folder), Service("web", build=BuildSpec()), "r/x", "1", PROJECT, APP)
    with pytest.raises(errors.Unavailable, match="engine of local does not answer"):
        builder.build(request, bench.log.append)


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return condition()
