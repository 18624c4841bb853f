# SPDX-License-Identifier: Apache-2.0
"""Third-party buildpacks: their names, their plans, their environments, and the program that starts what they made."""

from __future__ import annotations

import json
import pathlib
import subprocess
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackyard.drivers.builders import buildpack_launcher as launcher
from stackyard.drivers.builders import buildpack_orders, buildpacks, labels, tree_plans
from stackyard.drivers.builders.buildpack_orders import Part
from stackyard.drivers.builders.buildpack_runner import environments, files, layers
from stackyard.drivers.builders.buildpack_runner.files import Failure
from stackyard.drivers.builders.buildpack_runner.plan import Found, agree
from stackyard.drivers.builders.detect import detect
from stackyard.drivers.builders.packs import java, nodejs, php, python, ruby
from stackyard.drivers.builders.versions import Offer
from stackyard.local import images
from stackyard.model import errors
from stackyard.model.buildpacks import Named

URL = "https://example.org/pack.git"
EMPTY: dict[str, Any] = {"layers": [], "processes": [], "labels": {}, "releases": [], "changes": []}


def write(folder: pathlib.Path, **files: str) -> pathlib.Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


# --- names -------------------------------------------------------------------------------------


def test_the_file_names_them_in_order(tmp_path: pathlib.Path) -> None:
    (tmp_path / ".buildpacks").write_text(f"# first\n{URL}#v1\n\nhttps://user:secret@example.org/b\n")
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    spec = detect(tmp_path)
    assert [service.name for service in spec.services] == ["web"]
    web = spec.services[0]
    assert web.build is not None
    assert web.build.buildpacks == (f"{URL}#v1", "https://user:secret@example.org/b")
    assert (web.port, web.command, web.environment) == (8000, None, {"CNB_PROCESS_TYPE": "web", "PORT": "8000"})
    assert not [note for note in spec.notes if "secret" in note]
    assert "Dockerfile has no effect beside .buildpacks" in spec.notes
    shown = tree_plans.plan(tmp_path).as_dict()
    assert shown["services"][0]["buildpacks"] == [f"{URL}#v1", "https://***@example.org/b"]
    json.dumps(shown)


def test_compose_names_them_for_all_or_for_one(tmp_path: pathlib.Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "compose.yaml").write_text(
        f"x-stackyard: {{buildpacks: ['{URL}']}}\n"
        "services:\n"
        "  web: {build: .}\n"
        f"  other: {{build: b, x-stackyard: {{buildpacks: ['{URL}#own']}}}}\n"
        "  plain: {build: {context: ., dockerfile: Dockerfile}}\n"
        "  ready: {image: redis}\n"
    )
    spec = detect(tmp_path)
    found = {service.name: service.build.buildpacks if service.build else None for service in spec.services}
    assert found == {"web": (URL,), "other": (f"{URL}#own",), "plain": (), "ready": None}
    ports = {service.name: service.port for service in spec.services}
    assert ports == {"web": 8000, "other": None, "plain": None, "ready": None}
    assert not [note for note in spec.notes if "x-stackyard" in note]


def test_what_the_application_has_chosen_goes_before_files(tmp_path: pathlib.Path) -> None:
    write(tmp_path, **{"Dockerfile": "FROM scratch\n", ".buildpacks": f"{URL}\n", "Procfile": "web: run\n"})
    chosen = ("https://token@example.org/chosen#v2",)
    spec = detect(tmp_path, chosen)
    (web,) = spec.services
    assert web.build is not None
    assert (web.build.buildpacks, web.command) == (chosen, ("/bin/sh", "-c", "run"))
    assert "found --buildpack: https://***@example.org/chosen#v2" in spec.notes
    assert {f"{name} has no effect beside --buildpack" for name in ("Dockerfile", ".buildpacks")} <= set(spec.notes)


def test_what_compose_names_goes_before_the_choice(tmp_path: pathlib.Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    text = (
        "services:\n  web: {build: .}\n"
        f"  own: {{build: ., x-stackyard: {{buildpacks: ['{URL}']}}}}\n"
        "  plain: {build: {context: ., dockerfile: Dockerfile}}\n"
    )
    (tmp_path / "compose.yaml").write_text(text)
    found = {
        each.name: each.build.buildpacks for each in detect(tmp_path, ("https://example.org/c",)).services if each.build
    }
    assert found == {"web": ("https://example.org/c",), "own": (URL,), "plain": ()}
    (tmp_path / "compose.yaml").write_text("services:\n  web: {image: redis}\n")
    assert [note for note in detect(tmp_path, ("https://example.org/c",)).notes if "have no effect" in note]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file:///etc\n", "a buildpack is a git URL"),
        ("python\n", "a buildpack is a git URL"),
        (f"{URL}#--upload-pack=x\n", "is no name of a branch, tag or commit"),
        ("# nothing\n", "name 1 to 10 buildpacks"),
        (f"{URL}\n" * 11, "name 1 to 10 buildpacks"),
    ],
)
def test_wrong_names(tmp_path: pathlib.Path, text: str, words: str) -> None:
    (tmp_path / ".buildpacks").write_text(text)
    with pytest.raises(errors.BadInput, match=words):
        detect(tmp_path)


def test_wrong_words_in_compose(tmp_path: pathlib.Path) -> None:
    (tmp_path / "compose.yaml").write_text("x-stackyard: {buildpacks: here}\nservices: {web: {build: .}}\n")
    with pytest.raises(errors.BadInput, match="buildpacks must be a list of git URLs"):
        detect(tmp_path)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"bin__detect": "", "bin__compile": ""}, ("heroku", "pack", "v1")),
        ({"bin__detect": "", "bin__compile": "", "buildpack.toml": "[buildpack]\nname='x'"}, ("heroku", "pack", "v1")),
        (
            {"bin__detect": "", "bin__build": "", "buildpack.toml": "api='0.10'\n[buildpack]\nid='a/b'\nversion='2'"},
            ("cnb", "a/b", "2"),
        ),
    ],
)
def test_what_a_buildpack_is(tmp_path: pathlib.Path, files: dict[str, str], expected: tuple[str, ...]) -> None:
    found = buildpacks.read(write(tmp_path, **files), Named(URL, "v1"))
    assert (found.kind, found.id, found.version) == expected


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"README": ""}, "is no buildpack: it has neither"),
        ({"buildpack.toml": "api='0.8'\n[buildpack]\nid='x'\n[[order]]\n"}, "must name a buildpack by its id"),
        ({"buildpack.toml": "api='0.8'\norder=[]\n[buildpack]\nid='x'\n"}, "its order is empty"),
        ({"bin__detect": "", "bin__build": "", "buildpack.toml": "api='0.8'\n[buildpack]\nid='../x'"}, "must name it"),
        ({"bin__build": "", "buildpack.toml": "api='0.8'\n[buildpack]\nid='x'"}, "bin/detect is missing"),
        ({"buildpack.toml": "api="}, "buildpack.toml is no TOML"),
    ],
)
def test_what_is_no_buildpack(tmp_path: pathlib.Path, files: dict[str, str], words: str) -> None:
    with pytest.raises(errors.BadInput, match=words):
        buildpacks.read(write(tmp_path, **files), Named(URL))


# --- the runner --------------------------------------------------------------------------------


def option(provides: str = "", requires: str = "", **more: Any) -> dict[str, Any]:
    words = {"provides": provides.split(), "requires": requires.split()}
    return {**{key: [{"name": name} for name in names] for key, names in words.items()}, **more}


def plans(*told: dict[str, Any]) -> list[Found]:
    return [Found(number, plan) for number, plan in enumerate(told)]


def test_plans_that_agree() -> None:
    fits = plans(option("node"), option("npm", "node"), option("", "npm node"))
    assert agree(fits) == fits
    either = option("", "ruby", **{"or": [option("", "node")]})
    assert agree(plans(option("node"), either))[1].plan == option("", "node")
    itself = plans(option("a", "a"))
    assert agree(itself) == itself
    assert agree(plans({}, {})) == plans({}, {})


def test_optional_ones_that_do_not_fit_are_left_out() -> None:
    node, idle, npm = option("node"), option("yarn"), option("", "node")
    group = [Found(0, node), Found(1, idle, optional=True), Found(2, npm)]
    assert [found.pack for found in agree(group)] == [0, 2]
    # What only an optional one required is idle when that has gone: so it is to go too, or nothing fits.
    chain = [Found(0, option("a"), optional=True), Found(1, option("", "a b"), optional=True), Found(2, option())]
    assert [found.pack for found in agree(chain)] == [2]
    with pytest.raises(Failure, match="none after it requires it"):
        agree([Found(0, option("a")), Found(1, option("", "a b"), optional=True)])
    with pytest.raises(Failure, match="no buildpack is left"):
        agree([Found(0, option("a"), optional=True)])


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([option("", "node")], "node is required by a buildpack, and none before it provides it"),
        ([option("", "node"), option("node")], "node is required"),
        ([option("node"), option()], "node is provided by a buildpack, and none after it requires it"),
        ([option(**{"or": [option()] * 100})] * 3, "too many alternatives"),
    ],
)
def test_plans_that_do_not(told: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(Failure, match=words):
        agree(plans(*told))


def test_environment_files(tmp_path: pathlib.Path) -> None:
    texts = {
        "A": "new",
        "B.append": "b",
        "B.delim": ":",
        "C.prepend": "c",
        "D.default": "d",
        "E.default": "e",
        "F.x": "",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    before = {"A": "old", "B": "1", "C": "2", "D": "3"}
    assert environments.changed(before, environments.changes(tmp_path)) == {
        "A": "new",
        "B": "1:b",
        "C": "c2",
        "D": "3",
        "E": "e",
    }


def test_a_layer_s_programs_are_found(tmp_path: pathlib.Path) -> None:
    for name in ("bin", "lib", "include", "pkgconfig"):
        (tmp_path / name).mkdir()
    building = environments.changed({"PATH": "/bin"}, environments.of_layer(tmp_path, "build"))
    assert building["PATH"] == f"{tmp_path}/bin:/bin"
    assert {"CPATH", "LIBRARY_PATH", "LD_LIBRARY_PATH", "PKG_CONFIG_PATH"} <= building.keys()
    assert environments.changed({}, environments.of_layer(tmp_path, "launch")).keys() == {"PATH", "LD_LIBRARY_PATH"}


PLAIN = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab-.\n"é'), inner, max_size=3),
)


@given(st.dictionaries(st.text('ab-.\n"é', min_size=1), PLAIN))
def test_what_is_noted_is_read_again(table: dict[str, Any]) -> None:
    assert tomllib.loads(files.toml(table)) == table


def test_the_same_files_are_the_same_layer(tmp_path: pathlib.Path) -> None:
    made = []
    for number in range(2):
        folder = tmp_path / str(number) / "layer"
        folder.mkdir(parents=True)
        (folder / "odd\nname \udce9").write_text("x")
        (folder / "link").symlink_to("/elsewhere")
        files.pack_tar(tmp_path / f"{number}.tar", folder)
        made.append((tmp_path / f"{number}.tar").read_bytes().replace(f"{tmp_path}/{number}".encode()[1:], b""))
    assert len(made[0]) == len(made[1])


def test_flags_of_old_and_new_versions() -> None:
    assert layers.flags_of({"launch": True}) == {"launch": True, "build": False, "cache": False}
    assert layers.flags_of({"types": {"cache": True}}) == {"launch": False, "build": False, "cache": True}


def test_what_runs_before_the_application(tmp_path: pathlib.Path) -> None:
    write(tmp_path, b="", a="", web__z="", web__c="")
    (tmp_path / "web" / "deeper").mkdir()
    found = layers.at_launch(tmp_path)
    assert [[kind, pathlib.Path(path).name] for kind, path in found] == [
        ["", "a"],
        ["", "b"],
        ["web", "c"],
        ["web", "z"],
    ]
    assert layers.at_launch(tmp_path / "absent") == []


# --- orders ------------------------------------------------------------------------------------


def native(ident: str, version: str = "1") -> str:
    return f"api='0.10'\n[buildpack]\nid='{ident}'\nversion='{version}'\n"


def order(ident: str, *groups: str) -> str:
    """Return a buildpack.toml whose groups are of words such as `a`, `a@2` and `a?`."""
    text = native(ident)
    for group in groups:
        text += "[[order]]\n"
        for word in group.split():
            name, _, version = word.rstrip("?").partition("@")
            text += f"[[order.group]]\nid='{name}'\nversion='{version}'\noptional={str(word.endswith('?')).lower()}\n"
    return text


class Shelf:
    """Buildpacks in folders of a test, fetched by URL."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def add(self, name: str, text: str, where: str = "") -> str:
        folder = self.folder / name / where
        write(folder, **{"buildpack.toml": text})
        if "order" not in text:
            write(folder, bin__detect="", bin__build="")
        return f"https://example.org/{name}"

    def fetch(self, named: Named) -> Part:
        folder = self.folder / named.url.rpartition("/")[2]
        return Part(named, "c", buildpacks.read(folder, named), folder, folder)

    def order(self, *urls: str) -> list[list[str]]:
        """Return the groups in which the buildpacks at these URLs come, by id, `?` for an optional one."""
        made = buildpack_orders.resolve([self.fetch(Named(url)) for url in urls], self.fetch)
        return [[made.parts[at].about.id + "?" * optional for at, optional in group] for group in made.groups]


@pytest.fixture
def shelf(tmp_path: pathlib.Path) -> Shelf:
    return Shelf(tmp_path)


def test_plain_buildpacks_are_one_group(shelf: Shelf) -> None:
    assert shelf.order(shelf.add("one", native("a")), shelf.add("two", native("b"))) == [["a", "b"]]


def test_an_order_s_parts_lie_beside_it(shelf: Shelf) -> None:
    meta = shelf.add("meta", order("all", "a b?", "b@2"))
    shelf.add("meta", native("a"), "parts/a")
    shelf.add("meta", native("b"), "parts/b")
    shelf.add("meta", native("b", "2"), "parts/newer")
    assert shelf.order(meta) == [["a", "b?"], ["b"]]
    assert shelf.order(shelf.add("first", native("first")), meta) == [["first", "a", "b?"], ["first", "b"]]


def test_an_order_s_parts_are_fetched_or_named_with_it(shelf: Shelf) -> None:
    meta = shelf.add("meta", order("all", "a b"))
    other, url = shelf.add("b", native("b")), shelf.add("a", native("a"))
    text = f"[[dependencies]]\nuri='docker://example.org/x'\n[[dependencies]]\nuri='{url}'\n"
    write(shelf.folder / "meta", **{"package.toml": text})
    with pytest.raises(errors.BadInput, match="b is neither in its repository nor"):
        shelf.order(meta)
    assert shelf.order(meta, other) == [["a", "b"]]


def test_orders_of_orders(shelf: Shelf) -> None:
    meta = shelf.add("meta", order("all", "inner? c", "a"))
    shelf.add("meta", order("inner", "a", "b?"), "inner")
    for name in "abc":
        shelf.add("meta", native(name), name)
    assert shelf.order(meta) == [["a", "c"], ["b?", "c"], ["c"], ["a"]]


def test_each_builds_once(shelf: Shelf) -> None:
    meta = shelf.add("meta", order("all", "a b a?"))
    shelf.add("meta", native("a"), "a")
    shelf.add("meta", native("b"), "b")
    assert shelf.order(meta) == [["a", "b"]]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"": order("all", "other")}, "other is neither in its repository"),
        ({"": order("all", "x"), "x": order("x", "all2"), "y": order("all2", "x")}, "or in a circle"),
        ({"": order("all", *["x"] * 101), "x": native("x")}, "more than 100 groups"),
        ({"": order("all", "x x"), "x": order("x", *["a"] * 11), "a": native("a")}, "more than 100 groups"),
    ],
)
def test_orders_that_lead_nowhere(shelf: Shelf, texts: dict[str, str], words: str) -> None:
    for where, text in texts.items():
        shelf.add("meta", text, where)
    with pytest.raises(errors.BadInput, match=words):
        shelf.order("https://example.org/meta")


# --- the launcher ------------------------------------------------------------------------------


def started(tmp_path: pathlib.Path, told: dict[str, Any], *words: str, **environment: str) -> tuple[int, str]:
    """Run a launcher with bash; `/app` is a folder of the test's."""
    result = {**EMPTY, **told}
    text = launcher.script(result, launcher.processes(result)).replace("cd /app", f"cd {tmp_path}")
    given = {"PATH": "/usr/bin:/bin", **environment}
    done = subprocess.run(
        ["bash", "-c", text, "launcher", *words], env=given, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def process(kind: str, *command: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "command": list(command), "buildpack": "x", **more}


def test_processes_by_type(tmp_path: pathlib.Path) -> None:
    told = {"processes": [process("web", "echo", "it's web"), process("worker", "echo", "$HOME", args=["a b"])]}
    assert started(tmp_path, told) == (0, "it's web\n")
    assert started(tmp_path, told, CNB_PROCESS_TYPE="worker") == (0, "$HOME a b\n")
    assert started(tmp_path, told, CNB_PROCESS_TYPE="unknown") == (0, "it's web\n")
    assert started(tmp_path, told, "sh", "-c", "echo $PORT") == (0, "8000\n")


def test_which_is_the_default(tmp_path: pathlib.Path) -> None:
    assert launcher.default([process("a"), process("b", default=True)]) == "b"
    assert launcher.default([process("a"), process("web")]) == "web"
    assert launcher.default([process("only")]) == "only"
    status, said = started(tmp_path, {"processes": [process("a", "echo"), process("b", "echo")]})
    assert (status, said) == (64, "no process web; the buildpacks named: a, b\n")


def test_the_environment_they_ask_for(tmp_path: pathlib.Path) -> None:
    changes = [
        ["", "prepend", "PATH", "/layers/a/bin", ":"],
        ["", "append", "WORDS", "it's", " "],
        ["", "append", "WORDS", "$two", " "],
        ["", "default", "GIVEN", "not this", ""],
        ["worker", "override", "ONLY", "worker", ""],
        ["", "override", "not a name; exit 1", "x", ""],
    ]
    told = {"changes": changes, "processes": [process("web", "sh", "-c", 'echo "$PATH|$WORDS|$GIVEN|$ONLY"')]}
    assert started(tmp_path, told, GIVEN="mine")[1] == "/layers/a/bin:/usr/bin:/bin|it's $two|mine|\n"


def test_programs_of_layers_set_variables(tmp_path: pathlib.Path) -> None:
    def program(name: str, text: str) -> str:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    first = program("first", """echo said; printf 'A = "it'"'"'s $HOME \\u00e9"\\nB = "1"\\n' >&3""")
    second = program("second", """printf 'B = "%s2"\\n' "$B" >&3""")
    silent, other = program("silent", ":"), program("other", "echo 'C = \"no\"' >&3")
    executed = [["", first], ["", second], ["", silent], ["worker", other]]
    told = {"executed": executed, "processes": [process("web", "sh", "-c", 'echo "$A|$B|$C"')]}
    assert started(tmp_path, told) == (0, "said\nit's $HOME é|12|\n")
    for wrong in ("exit 3", "echo nonsense >&3", "echo 'A = 1' >&3", 'echo \'"a b" = "x"\' >&3'):
        status, said = started(tmp_path, {**told, "executed": [["", program("wrong", wrong)]]})
        assert status == 1
        assert "wrong" in said


def test_heroku_s_words(tmp_path: pathlib.Path) -> None:
    release = "---\nconfig_vars:\n  MODE: quick\ndefault_process_types:\n  web: echo $MODE $OWN; true\n"
    (tmp_path / ".profile.d").mkdir()
    (tmp_path / ".profile.d" / "a.sh").write_text("export OWN=profile\n")
    assert started(tmp_path, {"releases": [release]}) == (0, "quick profile\n")
    assert started(tmp_path, {"releases": [release]}, MODE="slow") == (0, "slow profile\n")
    with pytest.raises(errors.GiveUp, match="bin/release of a buildpack wrote no proper YAML"):
        launcher.processes({**EMPTY, "releases": ["a: [1"]})


# --- labels ------------------------------------------------------------------------------------


def test_labels_are_the_same_for_the_same() -> None:
    run = labels.RunImage("stackyard/python", "registry/stackyard/python@sha256:1", "sha256:top", "stackyard.python")
    made = [labels.Contribution("a/b", "1", {"l": {"sha": "sha256:l", "launch": True}}, [{"type": "web"}])]
    found = labels.labels(run, made, ["sha256:app"], "abc")
    assert found == labels.labels(run, made, ["sha256:app"], "abc")
    told = json.loads(found[labels.LIFECYCLE])
    assert told["runImage"]["topLayer"] == "sha256:top"
    assert told["stack"]["runImage"]["image"] == "stackyard/python"
    assert json.loads(found[labels.BUILD])["processes"] == [{"type": "web", "buildpackID": "a/b"}]
    assert json.loads(found[labels.PROJECT]) == {"source": {"version": {"commit": "abc"}}}


@pytest.mark.parametrize(
    ("stack", "offer", "parts"),
    [
        ("python", python.OFFER, 2),
        ("nodejs", nodejs.OFFER, 1),
        ("ruby", ruby.OFFER, 2),
        ("php", php.OFFER, 2),
        ("java", java.OFFER, 1),
    ],
)
def test_stacks_promise_what_packs_offer(stack: str, offer: Offer, parts: int) -> None:
    version = ".".join(offer.version.split(".")[:parts])
    text = (images.FOLDER / stack / "Dockerfile").read_text()
    assert f"LABEL io.buildpacks.stack.id=stackyard.{stack}-{version}\n" in text
