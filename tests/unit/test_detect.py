# SPDX-License-Identifier: Apache-2.0
"""What a source tree is taken for, and what is said where it is nothing."""

import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard.drivers.builders import dockerfile, procfile, references
from stackyard.drivers.builders.detect import detect
from stackyard.drivers.builders.output import Output
from stackyard.drivers.builders.packs import python_requirements
from stackyard.drivers.builders.trees import Tree
from stackyard.model import errors
from stackyard.model.applications import AppSpec, BuildSpec, Stage


def requirements(folder: pathlib.Path) -> python_requirements.Requirements:
    return python_requirements.requirements(Tree(folder))


def tree(folder: pathlib.Path, **files: str) -> AppSpec:
    write(folder, **files)
    return detect(folder)


def write(folder: pathlib.Path, **files: str) -> pathlib.Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_compose_goes_before_dockerfile(tmp_path: pathlib.Path) -> None:
    spec = tree(tmp_path, compose_yaml="services: {a: {build: .}, b: {image: redis}}", Dockerfile="FROM x\nEXPOSE 80")
    assert [one.name for one in spec.services] == ["a", "b"]
    assert spec.services[0].build == BuildSpec(".", "Dockerfile")
    assert spec.services[0].port is None


def test_a_compose_service_without_dockerfile_goes_to_the_language_pack(tmp_path: pathlib.Path) -> None:
    text = """
services:
  web: {build: web, volumes: ["data:/data"]}
  same: {build: web, command: [python, work.py], volumes: ["data:/more"]}
  api: {build: api, ports: ["80:5000"]}
volumes: {data: }
"""
    spec = tree(
        tmp_path, compose_yaml=text, web__app_py="", api__requirements_txt="gunicorn\n", api__app_py="app = 1\n"
    )
    web, same, api = spec.services
    assert web.command == ("/bin/sh", "-c", "python app.py")
    assert (web.port, web.environment) == (8000, {"PORT": "8000"})
    assert (same.port, same.environment) == (None, {})
    assert web.build == same.build == BuildSpec("web", folders=("/data", "/more"))
    assert api.command == ("/bin/sh", "-c", "gunicorn --bind 0.0.0.0:${PORT:-8000} app:app")
    assert (api.port, api.environment) == (5000, {"PORT": "5000"})


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"compose_yaml": "services: {web: {build: sub}}"},
            "compose.yaml: build of service 'web': there is no folder 'sub'",
        ),
        (
            {"compose_yml": "services: {web: {build: {dockerfile: D}}}"},
            "compose.yml: build of service 'web': there is no file 'D'",
        ),
        ({"compose_yaml": "services: {web: {build: sub}}", "sub__a_c": ""}, "no application found: looked for"),
        ({"compose_yaml": "services: {web: {imag: x}}"}, "compose.yaml: unknown key 'imag'"),
        ({"Cargo_toml": ""}, "found Cargo.toml. Rust has no language pack"),
        ({"Procfile": "web: x"}, "A Procfile does not tell the language"),
        ({"a_txt": ""}, "found a.txt. Push the folder"),
        ({}, "found nothing at all"),
        ({"requirements_txt": "flask\n"}, "what starts it?"),
        ({"app_py": "", "Procfile": "web python app.py"}, "Procfile, line 1: write 'name: command'"),
        ({"app_py": "", "pyproject_toml": "[project"}, "pyproject.toml is no TOML"),
        ({"app_py": "", "Pipfile": ""}, "run 'pipenv lock'"),
        ({"app_py": "", "pyproject_toml": "[tool.poetry.dependencies]\nflask='^3'"}, "there is no poetry.lock"),
        ({"app_py": "", "requirements_txt": "-r ../x.txt\n"}, "'../x.txt', which is not in the source tree"),
    ],
)
def test_refusals_name_cause_and_cure(tmp_path: pathlib.Path, files: dict[str, str], words: str) -> None:
    with pytest.raises(errors.BadInput) as caught:
        tree(tmp_path, **files)
    assert words in str(caught.value)


def test_a_link_to_a_compose_file_elsewhere_is_not_read(tmp_path: pathlib.Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "secret").write_text("services: {web: {image: redis}}")
    (tmp_path / "tree" / "compose.yaml").symlink_to("../secret")
    with pytest.raises(errors.BadInput, match=r"there is no file 'compose\.yaml' in the source tree"):
        detect(tmp_path / "tree")


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("FROM a\nEXPOSE 80", 80),
        ("FROM a\nEXPOSE 80/tcp 443", 80),
        ("FROM a\nENV PORT=81\nEXPOSE $PORT", 81),
        ("ARG P=82\nFROM a\nARG P\nEXPOSE ${P}", 82),
        ("FROM a\nARG P\nEXPOSE ${P:-83}", 83),
        ("FROM a AS b\nEXPOSE 84\nFROM b\nRUN x", 84),
        ("FROM a AS b\nEXPOSE 84\nFROM a\nRUN x", None),
        ("from a\nexpose \\\n 85", 85),
        ("FROM a", None),
        ("", None),
        ("FROM a\nEXPOSE nonsense", None),
    ],
)
def test_ports_of_dockerfiles(tmp_path: pathlib.Path, text: str, port: int | None) -> None:
    spec = tree(tmp_path, Dockerfile=text)
    assert [(one.name, one.port) for one in spec.services] == [("web", port)]
    assert any("EXPOSE" in note for note in spec.notes) == (port is None)


def test_images_of_dockerfiles() -> None:
    text = """# escape=`
ARG TAG=3
FROM --platform=linux/amd64 python:${TAG} AS build
FROM build AS second
COPY --from=build /a /b
COPY --from=nginx:1 /a /b
COPY --from=0 /a /b
FROM scratch
FROM ${NAME:-debian}"""
    assert dockerfile.parse(text).images == ("python:3", "nginx:1", "debian")
    assert dockerfile.parse(text, {"TAG": "4"}).images[0] == "python:4"


@given(st.text(max_size=200))
def test_any_dockerfile_can_be_read(text: str) -> None:
    dockerfile.parse(text)


def test_procfiles() -> None:
    assert procfile.parse("# c\nweb: gunicorn app:app\n\nworker :python w.py\n") == {
        "web": "gunicorn app:app",
        "worker": "python w.py",
    }
    for text in ("", "Web: x", "a: x\na: y", "a:"):
        with pytest.raises(errors.BadInput, match="Procfile"):
            procfile.parse(text)


def test_the_release_line_is_the_release_stage(tmp_path: pathlib.Path) -> None:
    spec = tree(tmp_path, Procfile="release: python migrate.py\nweb: python s.py\n", requirements_txt="")
    assert [(each.name, each.stage, each.port) for each in spec.services] == [
        ("release", Stage.RELEASE, None),
        ("web", Stage.RUN, 8000),
    ]


def test_a_stage_needs_a_command_of_its_own(tmp_path: pathlib.Path) -> None:
    compose = "services: {web: {build: .}, tidy: {build: ., x-stackyard: {cron: '* * * * *'}}}"
    with pytest.raises(errors.BadInput, match=r"'tidy'.* give it a command"):
        tree(tmp_path, compose_yaml=compose, requirements_txt="", app_py="")


def test_processes_share_an_image_and_web_is_routed(tmp_path: pathlib.Path) -> None:
    spec = tree(tmp_path, Procfile="worker: python w.py\nweb: python s.py\n", requirements_txt="")
    worker, web = spec.services
    assert worker.build == web.build
    assert (worker.port, web.port) == (None, 8000)
    assert web.command == ("/bin/sh", "-c", "python s.py")
    assert web.environment == {"PORT": "8000"}


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"app_py": ""}, "python app.py"),
        ({"main_py": "", "requirements_txt": "flask"}, "python main.py"),
        (
            {"app_py": "app = Flask()", "requirements_txt": "Flask\nGunicorn==20"},
            "gunicorn --bind 0.0.0.0:${PORT:-8000} app:app",
        ),
        (
            {"wsgi_py": "from x import application", "requirements_txt": "gunicorn"},
            "gunicorn --bind 0.0.0.0:${PORT:-8000} wsgi:application",
        ),
        (
            {"main_py": "app = FastAPI()", "requirements_txt": "uvicorn[standard]"},
            "uvicorn --host 0.0.0.0 --port ${PORT:-8000} main:app",
        ),
        (
            {"manage_py": "", "site__wsgi_py": "", "requirements_txt": "gunicorn"},
            "gunicorn --bind 0.0.0.0:${PORT:-8000} site.wsgi:application",
        ),
        ({"app_py": "app == 1", "requirements_txt": "gunicorn"}, "python app.py"),
    ],
)
def test_plain_source(tmp_path: pathlib.Path, files: dict[str, str], command: str) -> None:
    assert tree(tmp_path, **files).services[0].command == ("/bin/sh", "-c", command)


def test_requirements_with_what_they_include(tmp_path: pathlib.Path) -> None:
    asked = requirements(
        write(tmp_path, requirements_txt="-r more/base.txt\nflask\n", more__base_txt="-c c.txt\n", more__c_txt="x==1\n")
    )
    assert list(asked.files) == ["requirements.txt", "more/base.txt", "more/c.txt"]
    assert not asked.whole_tree


@pytest.mark.parametrize("line", ["-e .", ".", "./lib", "--editable=./x", "file:./x", "wheels/a-1.whl"])
def test_requirements_that_need_the_whole_tree(tmp_path: pathlib.Path, line: str) -> None:
    assert requirements(write(tmp_path, requirements_txt=f"flask\n{line}\n")).whole_tree


def test_other_lock_files(tmp_path: pathlib.Path) -> None:
    flask, other = {"version": "==3", "markers": "python_version > '3'"}, {"version": "==1", "extras": ["s"]}
    lock = json.dumps({"default": {"flask": flask, "u": other}})
    asked = requirements(write(tmp_path / "1", Pipfile="", Pipfile_lock=lock))
    assert asked.files["requirements.txt"] == "flask==3 ; python_version > '3'\nu[s]==1\n"
    pins = [("flask", "3"), ("a", "1"), ("a", "2")]
    poetry = "".join(f"[[package]]\nname='{name}'\nversion='{version}'\n" for name, version in pins)
    asked = requirements(
        write(tmp_path / "2", pyproject_toml="[tool.poetry.dependencies]\npython='3'\nflask='^3'", poetry_lock=poetry)
    )
    assert (asked.files["requirements.txt"], asked.constraints) == ("flask\n", "flask==3\n")
    uv = "[[package]]\nname='me'\nversion='0'\nsource={editable='.'}\n[[package]]\nname='flask'\nversion='3'\n"
    asked = requirements(
        write(tmp_path / "3", pyproject_toml="[project]\nname='me'\ndependencies=['flask>2']", uv_lock=uv)
    )
    assert (asked.files["requirements.txt"], asked.constraints, asked.whole_tree) == ("flask>2\n", "flask==3\n", False)
    dynamic = "[project]\nname='me'\ndynamic=['dependencies']"
    assert requirements(write(tmp_path / "4", pyproject_toml=dynamic)).whole_tree


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("redis:7", "library/redis"),
        ("docker.io/library/redis", "library/redis"),
        ("stackyard/python", "stackyard/python"),
        ("registry:5000/library/redis:7", "library/redis"),
        ("registry:5000/p1/app/web@sha256:0", "p1/app/web"),
        ("p1/app/web:1", "p1/app/web"),
        ("p2/app/web:1", None),
        ("registry:5000/p2/app/web:1", None),
        ("p11/app/web", None),
        ("quay.io/a/b", None),
        ("bitnami/redis", None),
    ],
)
def test_a_project_reads_the_platforms_images_and_its_own(image: str, repository: str | None) -> None:
    assert references.in_platform(references.parse(image), "registry:5000", "p1") == repository


@pytest.mark.parametrize(("text", "allowed"), [("y\n", 1), ("y" * 500, 1)])
def test_output_without_end_is_stopped(text: str, allowed: int) -> None:
    output = Output(lambda _: None, limit=100)
    for _ in range(allowed):
        output.write(text)
    with pytest.raises(errors.GiveUp, match=r"characters of output in \d+ lines and was stopped; make it say less"):
        output.write(text)


def test_output_is_cleaned_bounded_and_its_end_kept() -> None:
    log: list[str] = []
    output = Output(log.append, limit=700)
    output.write("Step 1/2 : FROM x\n ---> 0123456789ab\n ---> Using cache\nRemoving intermediate container 1\n10%\r")
    output.write("100%\n\x1b[31mred\x1b[0m\n" + "y" * 700 + "\nthe end")
    output.finish()
    assert "".join(log) == "Step 1/2 : FROM x\n (cached)\n100%\nred\n… output beyond 700 characters is left out\n"
    assert output.tail().splitlines()[-1] == "the end"
