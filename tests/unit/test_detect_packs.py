# SPDX-License-Identifier: Apache-2.0
"""What language packs plan for small trees: version, steps, processes and notes, and what they refuse."""

import contextlib
import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard.drivers.builders import packs, ranges, tree_plans
from stackyard.drivers.builders.detect import detect
from stackyard.drivers.builders.plans import Plan
from stackyard.drivers.builders.trees import Tree
from stackyard.model import errors

NODE = {"scripts": {"start": "node x.js"}}
NPM_LOCK = '{"packages": {"node_modules/a": {"version": "1.0.0"}, "node_modules/b": {"version": "1.2.0"}}}'
PNPM_LOCK = """lockfileVersion: '6.0'
dependencies:
  a:
    specifier: '1'
devDependencies:
  b:
    specifier: '1'
"""


def write(folder: pathlib.Path, files: dict[str, object]) -> pathlib.Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def plan(folder: pathlib.Path, files: dict[str, object]) -> Plan:
    made = packs.plan(Tree(write(folder, files)))
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("files", "pack", "version", "web"),
    [
        ({"app.py": ""}, "python", "3.11", "python app.py"),
        ({"package.json": NODE}, "nodejs", "18", "node x.js"),
        ({"package.json": {"main": "m.js"}, "m.js": ""}, "nodejs", "18", "node m.js"),
        ({"package.json": {}, "index.js": ""}, "nodejs", "18", "node index.js"),
        ({"package.json": {"scripts": {"start": "x", "prestart": "y"}}}, "nodejs", "18", "npm start"),
        ({"index.html": ""}, "static", "1.4", "serve-static /app"),
        ({"public/index.html": ""}, "static", "1.4", "serve-static /app/public"),
        ({"go.mod": "module a/b/v2\ngo 1.18\n", "m.go": "package main"}, "go", "1.19", "bin/b"),
        ({"go.mod": "module a\n", "cmd/api/m.go": "// x\npackage main"}, "go", "1.19", "bin/api"),
        (
            {"pom.xml": "<java.version>11</java.version>"},
            *("java", "17", "java -XX:MaxRAMPercentage=75 $JAVA_OPTS -jar target/app.jar"),
        ),
        ({"Gemfile": "", "Gemfile.lock": "", "app.rb": ""}, "ruby", "3.1.2", "ruby app.rb"),
        (
            {"Gemfile": "", "Gemfile.lock": "GEM\n  specs:\n    puma (6.0.0)\n", "config.ru": ""},
            *("ruby", "3.1.2", "bundle exec puma -b tcp://0.0.0.0:${PORT:-8000}"),
        ),
        ({"index.php": ""}, "php", "8.2", "serve-php /app"),
        ({"composer.json": {}, "public/index.php": "", "index.php": ""}, "php", "8.2", "serve-php /app/public"),
    ],
)
def test_packs(tmp_path: pathlib.Path, files: dict[str, object], pack: str, version: str, web: str) -> None:
    made = plan(tmp_path, files)
    process = made.process("web")
    assert process is not None
    assert (made.pack, made.runtime.version, process.command) == (pack, version, web)
    assert process.reason
    service = detect(tmp_path).services[0]
    assert (service.command, service.port) == (("/bin/sh", "-c", web), 8000)
    json.dumps(tree_plans.plan(tmp_path).as_dict())


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"app.py": "", "runtime.txt": "# x\npython-3.12.1\n"}, "runtime.txt, line 2 asks for Python 3.12.1; offered"),
        ({"app.py": "", ".python-version": "pypy3.10"}, "'pypy3.10' is no version of Python"),
        (
            {"app.py": "", "pyproject.toml": "[project]\nname='a'\nrequires-python='>=3.12'\ndependencies=[]"},
            "pyproject.toml: requires-python asks for Python >=3.12; offered is 3.11.2: ask for 3.11, or add a Docker",
        ),
        ({"package.json": {**NODE, "engines": {"node": "20.x"}}}, "package.json: engines.node asks for Node.js 20.x"),
        ({"package.json": NODE, ".nvmrc": "v20\n"}, ".nvmrc, line 1 asks for Node.js v20; offered is 18.20.4"),
        ({"package.json": "{"}, "package.json is no JSON"),
        ({"package.json": "[]"}, "package.json must hold an object"),
        ({"package.json": {"scripts": []}, "x": ""}, "what starts it?"),
        ({"package.json": {"scripts": ["x"]}}, "package.json: scripts must be an object"),
        ({"package.json": NODE, "yarn.lock": "", "package-lock.json": "{}"}, "are both there and may disagree"),
        ({"package.json": {}}, "this is Node.js, but what starts it?"),
        ({"go.mod": "module a\n\ngo 1.22\n", "m.go": "package main"}, "go.mod, line 3 asks for Go 1.22"),
        ({"go.mod": "module a\ngo 1.19\ntoolchain go1.22.1\n", "m.go": "package main"}, "line 3 asks for Go 1.22.1"),
        ({"go.mod": "module a\n", "lib.go": "package a"}, "is 'package main'"),
        (
            {"go.mod": "module a\n", "cmd/a/a.go": "package main", "cmd/b/b.go": "package main"},
            "which program serves? Found a, b",
        ),
        ({"pom.xml": "\n<maven.compiler.release>21</maven.compiler.release>"}, "pom.xml, line 2 asks for Java 21"),
        (
            {"pom.xml": "", "system.properties": "java.runtime.version=21\n"},
            "system.properties, line 1 asks for Java 21",
        ),
        ({"Gemfile": "", "app.rb": ""}, "Gemfile without Gemfile.lock; run 'bundle lock'"),
        ({"Gemfile": "ruby '3.3.0'", "Gemfile.lock": ""}, "Gemfile, line 1 asks for Ruby 3.3.0; offered is 3.1.2"),
        ({"Gemfile": "ruby '>= 3.0', '< 3.1'", "Gemfile.lock": ""}, "asks for Ruby >= 3.0, < 3.1"),
        (
            {"Gemfile": "", "Gemfile.lock": "", ".ruby-version": "ruby-3.2.1"},
            ".ruby-version, line 1 asks for Ruby 3.2.1",
        ),
        ({"Gemfile": "", "Gemfile.lock": ""}, "this is Ruby, but what starts it?"),
        (
            {"composer.json": {"require": {"php": "^8.3"}}, "index.php": ""},
            "composer.json: require.php asks for PHP ^8.3",
        ),
        ({"composer.json": {}}, "there is no index.php"),
        ({"build.gradle": ""}, "Gradle has no language pack"),
    ],
)
def test_refusals_name_cause_and_cure(tmp_path: pathlib.Path, files: dict[str, object], words: str) -> None:
    with pytest.raises(errors.BadInput) as caught:
        detect(write(tmp_path, files))
    assert words in str(caught.value)


def test_the_reason_of_a_version_is_told(tmp_path: pathlib.Path) -> None:
    made = plan(tmp_path, {"app.py": "", ".python-version": "3.11.9\n"})
    assert made.runtime.reason == ".python-version, line 1: 3.11.9"
    assert any("found app.py: Python 3.11 (.python-version, line 1: 3.11.9)" in note for note in detect(tmp_path).notes)


def test_two_languages_in_one_tree(tmp_path: pathlib.Path) -> None:
    made = plan(tmp_path, {"requirements.txt": "", "package.json": NODE, "index.html": "", "app.py": ""})
    assert made.pack == "python"
    assert made.notes == ("Node.js is there too (package.json): Python goes before it",)


def test_a_procfile_of_workers_only(tmp_path: pathlib.Path) -> None:
    spec = detect(write(tmp_path, {"package.json": NODE, "Procfile": "worker: node w.js\n"}))
    assert [(one.name, one.port) for one in spec.services] == [("worker", None)]
    assert "Procfile has no web process, so nothing is routed to it" in spec.notes


def test_node_packages_by_lock_file(tmp_path: pathlib.Path) -> None:
    package = {**NODE, "dependencies": {"a": "1"}, "devDependencies": {"b": "1"}, "description": "x"}
    locks = {
        "package-lock.json": (NPM_LOCK, "npm", "npm ci --omit=dev"),
        "yarn.lock": ("# yarn lockfile v1\n\na@1:\n\nb@1:\n", "yarn", "npx --yes yarn@1 install --frozen-lockfile"),
        "pnpm-lock.yaml": (PNPM_LOCK, "pnpm", "npx --yes pnpm@8 install --frozen-lockfile --prod"),
    }
    for lock, (text, tool, command) in locks.items():
        made = plan(tmp_path / tool, {"package.json": package, lock: text})
        assert made.install is not None
        assert (made.install.tool, made.tools, made.build) == (tool, None, None)
        assert command in made.install.command
        assert "description" not in made.install.files["package.json"]
    made = plan(tmp_path / "none", {"package.json": package})
    assert "no lock file" in made.notes[0]


def test_a_build_script_gets_its_own_tools(tmp_path: pathlib.Path) -> None:
    package = {"scripts": {"start": "x", "build": "tsc"}, "dependencies": {"a": "1"}, "devDependencies": {"b": "1"}}
    made = plan(tmp_path, {"package.json": package, "package-lock.json": NPM_LOCK})
    assert [step.subject for step in made.steps()] == [
        "the dependencies of package-lock.json",
        "the build tools of package-lock.json",
        "the application",
    ]
    assert made.build is not None
    assert (made.build.produces, made.build.leaves) == (("/app",), ("/app/node_modules",))
    site = plan(tmp_path / "site", {"package.json": {"scripts": {"build": "vite build"}}})
    assert (site.run_stack, site.tree, site.processes[0].command) == (
        "stackyard/static",
        False,
        "serve-static /app/.site",
    )


def test_hooks_of_installing_need_the_whole_tree(tmp_path: pathlib.Path) -> None:
    package = {"scripts": {"start": "x", "postinstall": "node p.js"}, "dependencies": {"a": "1"}}
    made = plan(tmp_path, {"package.json": package})
    assert made.install is not None
    assert made.install.whole_tree


@pytest.mark.parametrize(
    ("asked", "offered", "fits"),
    [
        ("18", "18.20.4", True),
        ("18.17.0", "18.20.4", True),
        (">=18.17 <19 || >=20", "18.20.4", True),
        ("^16 || ^18", "18.20.4", True),
        ("^18.21", "18.20.4", False),
        ("~18.20.0", "18.20.4", True),
        ("~18.19.0", "18.20.4", False),
        ("16 - 18", "18.20.4", True),
        ("18.x", "18.20.4", True),
        ("20.x", "18.20.4", False),
        ("*", "18.20.4", True),
        (">18", "18.20.4", False),
        ("<=18", "18.20.4", True),
    ],
)
def test_ranges_of_npm(asked: str, offered: str, fits: bool) -> None:
    assert ranges.allows(asked, ranges.version(offered), 1) is fits


@pytest.mark.parametrize(
    ("asked", "offered", "fits"),
    [
        ("^8.1", "8.2.29", True),
        ("~8.1", "8.2.29", True),
        ("~8.1.0", "8.2.29", False),
        ("^7.4|^8.0", "8.2.29", True),
        (">=8.1,<8.3", "8.2.29", True),
        ("8.2.*", "8.2.29", True),
        (">=8.3", "8.2.29", False),
        (">=3.8,<3.12", "3.11.2", True),
        ("~=3.11", "3.11.2", True),
        ("==3.11.*", "3.11.2", True),
        ("!=3.11.*", "3.11.2", False),
        ("~> 3.1", "3.1.2", True),
        ("~> 3.1.3", "3.1.2", False),
        ("~> 2.7", "3.1.2", False),
    ],
)
def test_ranges_of_others(asked: str, offered: str, fits: bool) -> None:
    assert ranges.allows(asked, ranges.version(offered), 2, tilde_last=True) is fits


@given(st.text(max_size=40))
def test_any_range_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        ranges.allows(text, (3, 11, 2), 2)
