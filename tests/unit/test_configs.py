# SPDX-License-Identifier: Apache-2.0
"""Files of releases: what Compose files say of them, templates, INI overlays, what a container gets."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from oslo_config import cfg, generator, types

from stackyard.drivers.builders import compose
from stackyard.drivers.files import ini, options, rendering, templates
from stackyard.drivers.files.overlays import check_overlays
from stackyard.drivers.secrets.fernet import FernetSecrets, ensure_key
from stackyard.model import errors
from stackyard.model.applications import AppSpec, Release, Service
from stackyard.model.files import MAX_FILE, File, FileMount, Overlay, RunFile, sealed
from stackyard.model.groups import Group

KEYSTONE = "[DEFAULT]\ndebug = $x\n[database]\nconnection = mysql://keystone:${DB_PASSWORD}@db/keystone\n"
TREE = {
    "etc/keystone.conf": KEYSTONE,
    "motd": "costs $5, ${NOT}",
    "key.pem": "private",
    "bad.ini": "[a\n",
    "large": "x" * MAX_FILE,
}


def read(path: str) -> str:
    if path not in TREE:
        raise errors.BadInput(f"there is no file {path!r}")
    return TREE[path]


def parsed(declared: object = None, hidden: object = None, **service: object) -> AppSpec:
    text = yaml.safe_dump({"services": {"web": {"image": "x", **service}}, "configs": declared, "secrets": hidden})
    return compose.parse(text, read)


# --- Compose ------------------------------------------------------------------------------------


def test_the_sources_of_configs_and_secrets() -> None:
    spec = parsed(
        {
            "conf": {"file": "./etc/keystone.conf", "x-stackyard": {"ini": True}},
            "motd": {"file": "motd"},
            "greeting": {"content": "hello $NAME, ${WORD:-you}: $$5"},
            "one": {"environment": "KEY"},
        },
        {"cert": {"file": "key.pem"}, "token": {"environment": "TOKEN"}},
    )
    texts = {file.name: file.text for file in spec.files}
    assert texts == {
        "conf": KEYSTONE.replace("$x", "$$x"),
        "motd": "costs $$5, $${NOT}",
        "greeting": "hello $NAME, ${WORD:-you}: $$5",
        "one": "${KEY}",
        "cert": "private",
        "token": "${TOKEN}",
    }
    assert [file.name for file in spec.files if file.secret] == ["cert", "token"]
    assert [file.name for file in spec.files if file.ini] == ["conf"]
    assert "private" not in repr(spec)


def test_where_a_service_gets_them() -> None:
    long = {"source": "b", "target": "/etc/b/b.conf", "uid": "103", "gid": 104, "mode": "0440"}
    found = parsed(
        {"a": {"content": "a"}, "b": {"content": "b"}},
        {"s": {"environment": "S"}, "t": {"environment": "T"}},
        configs=["a", long],
        secrets=["s", {"source": "t", "target": "token", "mode": 400}],
    )
    assert found.services[0].files == (
        FileMount("a", "/a"),
        FileMount("b", "/etc/b/b.conf", False, 103, 104, 0o440),
        FileMount("s", "/run/secrets/s", True),
        FileMount("t", "/run/secrets/token", True, mode=0o400),
    )


@pytest.mark.parametrize(
    ("configs", "service", "words"),
    [
        ({"a": {}}, [], "must have one of file, content and environment"),
        ({"a": {"file": "motd", "content": "x"}}, [], "must have one of"),
        ({"a": {"content": ""}}, [], "config 'a' is empty"),
        ({"a": {"content": "x" * (MAX_FILE + 1)}}, [], "larger than"),
        ({name: {"file": "motd", "content": None} for name in "ab"} | {"c": {"external": True}}, [], "unsupported"),
        ({"a": {"file": "nothing"}}, [], "there is no file"),
        ({"a": {"content": "${"}}, [], "begins a variable"),
        ({"a": {"environment": "A-B"}}, [], "no key of the application's config"),
        ({"a": {"file": "bad.ini", "x-stackyard": {"ini": True}}}, [], "line 1: Invalid section"),
        ({"a": {"content": "[a]\nb = 1", "x-stackyard": {"options": "motd"}}}, [], "oslo-config-generator"),
        ({"a": {"content": "x"}}, ["b"], "asks for config 'b', which is not declared"),
        ({"a": {"content": "x"}}, ["a", "a"], "two files have the target '/a'"),
        ({"a": {"content": "x"}}, [{"source": "a", "target": "b"}], "absolute path of a file"),
        ({"a": {"content": "x"}}, [{"source": "a", "mode": "rw"}], "must be octal"),
        ({"a": {"content": "x"}}, [{"source": "a", "uid": "root"}], "must be a number"),
        ({"a": {"content": "x"}}, [{"target": "/a"}], "lacks source"),
        ({"../a": {"content": "x"}}, [], "a name must consist of"),
    ],
)
def test_what_is_refused(configs: object, service: object, words: str) -> None:
    with pytest.raises(errors.BadInput, match=words):
        parsed(configs, configs=service)


def test_all_files_together_have_a_limit() -> None:
    with pytest.raises(errors.BadInput, match="is the limit"):
        parsed({name: {"file": "large"} for name in "abc"})


# --- templates ----------------------------------------------------------------------------------


@given(st.text(alphabet="${}aB_-: \n"))
def test_a_literal_text_comes_back(text: str) -> None:
    assert templates.filled(templates.literal(text), {}, "x") == text


def test_braced_texts_have_values_in_braces_only() -> None:
    assert templates.filled(templates.braced("$a $$ ${A} $${A} $1"), {"A": "v"}, "x") == "$a $$ v ${A} $1"
    assert templates.keys(templates.braced("$a ${A} ${B:-c} $${C}"), "x") == {"A", "B"}
    with pytest.raises(errors.BadInput, match=r"x: config has no A; set it: stackyard config APP set A=\.\.\."):
        templates.filled("${A}", {}, "x")


def test_secrets_are_shown_by_reference() -> None:
    values = {"A": "open", "S": "hidden"}
    assert templates.shown("${A} ${S} ${MISSING} $$x", values, ("S",)) == "open ${S} ${MISSING} $x"


# --- INI ----------------------------------------------------------------------------------------


def test_layers_replace_options_and_keep_those_that_are_repeated() -> None:
    base = "# c\n[DEFAULT]\na = 1\nmulti = x\nmulti = y\n[db]\nurl: u\n"
    over = "[DEFAULT]\nmulti = z\nmulti = w\n[new]\nk = v\n"
    assert ini.overlaid([base, over], "f") == (
        "[DEFAULT]\na = 1\nmulti = z\nmulti = w\n\n[db]\nurl = u\n\n[new]\nk = v\n"
    )
    assert ini.overlaid([base], "f") == "[DEFAULT]\na = 1\nmulti = x\nmulti = y\n\n[db]\nurl = u\n"


@pytest.mark.parametrize(
    "text",
    [
        "[a]\nb = one\n  two\n  three\n",
        "[a]\nb = \"'quoted'\"\n",
        "[a]\nb = ''\n",
        "[a]\nb =\n",
        '[a]\nb = "  spaces  "\n',
        '[a]\nb = "\n',
        "[a]\n[b]\nc = d = e : f\n",
    ],
)
def test_what_is_written_reads_back(text: str) -> None:
    options_read = ini.parse(text, "f")
    assert ini.parse(ini.written(options_read), "f") == options_read


def test_a_wrong_file_is_told_by_line_without_its_words() -> None:
    with pytest.raises(errors.BadInput, match="line 2") as caught:
        ini.parse("[a]\npassword s3cret", "f")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(errors.BadInput, match="before the first section"):
        ini.parse("a = 1", "f")


def test_what_changes_is_told_by_option() -> None:
    assert ini.changed("[a]\nb = 1\nc = 2\n", "[a]\nb = 3\n[d]\ne = 4\n", "f") == [
        {"section": "a", "option": "b", "before": ["1"], "after": ["3"]},
        {"section": "a", "option": "c", "before": ["2"], "after": None},
        {"section": "d", "option": "e", "before": None, "after": ["4"]},
    ]


# --- options that a program knows: oslo.config tells, and judges --------------------------------

OPTIONS = [
    cfg.IntOpt("max-size", min=0, max=9, help="long"),
    cfg.StrOpt("shape", choices=["round", "flat"], deprecated_name="form"),
    cfg.StrOpt("password", secret=True),
    cfg.IntOpt("pin", secret=True),
    cfg.PortOpt("door"),
    cfg.ListOpt("parts"),
    cfg.MultiOpt("dirs", item_type=types.String()),
    cfg.BoolOpt("on"),
    cfg.URIOpt("address"),
]


@pytest.fixture(scope="module")
def generated() -> dict[str, Any]:
    """What oslo-config-generator writes of OPTIONS in two groups, decoded."""
    groups = {name: {"object": None, "namespaces": [("shop", OPTIONS)]} for name in ("DEFAULT", "database")}
    data = generator._generate_machine_readable_data(groups, cfg.ConfigOpts())
    return dict(json.loads(json.dumps(data, default=str)))


ACCEPTED = [
    "[DEFAULT]\nmax_size = 1\non = yes\n[keystone_authtoken]\nany = 3\n",
    "[DEFAULT]\nform = round\nparts = a,b\ndirs = a\ndirs = b\n",
    "[database]\nmax_size = ${SIZE}\nshape = Round\ndoor = 443\naddress = http://x/\n",
]
UNKNOWN = [
    ("[DEFAULT]\nmax_sice = s3cret\n", r"f: \[DEFAULT\] max_sice is not known; did you mean max_size\?"),
    ("[databse]\non = true\n", r"\[databse\] on is not known; \[database\] has it"),
    ("[databse]\nq = s3cret\n", r"as its section is not; did you mean \[database\]\?"),
]
ILL_TYPED = [
    ("[DEFAULT]\nmax_size = 10\n", r"\[DEFAULT\] max_size is no integer value: Should be less than"),
    ("[DEFAULT]\nmax_size = many\n", "max_size is no integer"),
    ("[DEFAULT]\nshape = square\n", "shape is no string value"),
    ("[DEFAULT]\ndoor = 70000\n", "door is no port"),
    ("[DEFAULT]\non = perhaps\n", "on is no boolean"),
    ("[DEFAULT]\npin = s3cret\n", "pin is no integer value$"),
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_options_that_are_known_are_accepted(generated: dict[str, Any], text: str) -> None:
    options.check(options.reduced(generated, "o"), text, "f")


@pytest.mark.parametrize(("text", "words"), UNKNOWN + ILL_TYPED)
def test_what_a_program_does_not_know_is_refused_by_name(generated: dict[str, Any], text: str, words: str) -> None:
    with pytest.raises(errors.BadInput, match=words) as caught:
        options.check(options.reduced(generated, "o"), text, "f")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(("text", "fine"), [(text, True) for text in ACCEPTED] + [(text, False) for text, _ in UNKNOWN])
def test_oslos_own_validator_says_the_same(
    generated: dict[str, Any], tmp_path: pathlib.Path, text: str, fine: bool
) -> None:
    (tmp_path / "options.json").write_text(json.dumps(generated))
    (tmp_path / "asked").write_text(text)
    words = ("--opt-data", str(tmp_path / "options.json"), "--input-file", str(tmp_path / "asked"))
    done = subprocess.run([sys.executable, "-m", "oslo_config.validator", *words], capture_output=True, check=False)
    assert (done.returncode == 0) == fine, done.stderr


def test_a_group_of_any_name_may_have_some_options(generated: dict[str, Any]) -> None:
    known = options.reduced({"options": {**generated["options"], "*": {"opts": [{"name": "path"}]}}}, "o")
    options.check(known, "[mine]\npath = x\n[DEFAULT]\non = 1\n", "f")
    for text in ("[mine]\npaths = x\n", "[DEFAULT]\npath = x\n"):
        with pytest.raises(errors.BadInput):
            options.check(known, text, "f")


def test_names_alone_are_checked_where_no_more_is_kept() -> None:
    known = '{"options": {"a": {"opts": [{"name": "b"}]}}, "deprecated_options": {}}'
    options.check(known, "[a]\nb = anything\n", "f")
    with pytest.raises(errors.BadInput, match="oslo-config-generator"):
        options.reduced(["no"], "o")


# --- what containers get ------------------------------------------------------------------------


@pytest.fixture
def secrets(tmp_path: pathlib.Path) -> FernetSecrets:
    ensure_key(tmp_path / "key")
    return FernetSecrets(tmp_path / "key")


FILES = (
    File("conf", "[a]\nb = 1\npassword = ${SECRET}\n", ini=True),
    File("motd", "hello $$x"),
    File("key", "private", secret=True),
)
MOUNTS = (FileMount("conf", "/etc/c"), FileMount("motd", "/m", uid=5), FileMount("key", "/run/secrets/key", True))


def made(
    secrets: FernetSecrets, *overlays: Overlay, service: str = "web", group: Group | None = None
) -> dict[str, RunFile]:
    release = Release(
        project_id="p",
        app_id="a",
        number=1,
        spec=rendering.with_sealed(secrets, AppSpec((), files=FILES)),
        config=secrets.seal(json.dumps({"SECRET": "s3cret"})),
        overlays=sealed(secrets, overlays),
    )
    assert "private" not in str(dataclasses.asdict(release))
    found = rendering.Rendering(secrets, release).files(Service(service, image="i", files=MOUNTS, group=group))
    return {file.target: file for file in found}


def test_values_are_put_in_and_make_a_file_secret(secrets: FernetSecrets) -> None:
    found = made(secrets)
    assert (found["/etc/c"].text, found["/etc/c"].secret) == ("[a]\nb = 1\npassword = s3cret\n", True)
    assert (found["/m"].text, found["/m"].secret, found["/m"].uid) == ("hello $x", False, 5)
    assert (found["/run/secrets/key"].text, found["/run/secrets/key"].secret) == ("private", True)
    assert "s3cret" not in repr(found)


def test_layers_lie_in_their_order(secrets: FernetSecrets) -> None:
    layers = (
        Overlay("conf", "[a]\nb = node\n", node="n1"),
        Overlay("conf", "[a]\nb = service\nd = service\n", "web"),
        Overlay("conf", "[a]\nb = env\nc = env\nd = env\n"),
        Overlay("conf", "[a]\nb = both\n", "web", "n2"),
        Overlay("conf", "[a]\nb = other\n", "worker"),
        Overlay("motd", "replaced ${SECRET}"),
    )
    found = made(secrets, *layers)
    rest = "password = s3cret\nc = env\nd = service\n"
    assert found["/etc/c"].text == f"[a]\nb = service\n{rest}"
    assert {node: text.split("\n")[1] for node, text in found["/etc/c"].nodes.items()} == {
        "n1": "b = node",
        "n2": "b = both",
    }
    assert found["/etc/c"].on("n1") == f"[a]\nb = node\n{rest}"
    assert found["/etc/c"].on("n3") == found["/etc/c"].text
    assert (found["/m"].text, found["/m"].secret) == ("replaced s3cret", True)
    assert "b = env" in made(secrets, *layers[2:4], service="other")["/etc/c"].text
    member = made(secrets, layers[1], service="web-2", group=Group(member_of="web"))
    assert "b = service" in member["/etc/c"].text


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        (Overlay("conf", "[a]\nb = ${ABSENT}\n"), "service web: config conf: config has no ABSENT"),
        (Overlay("motd", "${EMPTY:-}"), "config motd is empty"),
        (Overlay("conf", "no ini"), "line 1"),
    ],
)
def test_what_can_not_be_made_ends_the_release(secrets: FernetSecrets, overlay: Overlay, words: str) -> None:
    with pytest.raises(errors.GiveUp, match=words):
        made(secrets, overlay)


def test_a_value_of_several_lines_does_not_become_options() -> None:
    file = File("conf", "[a]\nb = ${KEY}\n", ini=True)
    with pytest.raises(errors.BadInput, match="the value of KEY has several lines"):
        rendering.rendered(file, file.text, {"KEY": "x\n[b]\nc = 1"})


def test_what_lies_over_files_must_fit_the_ones_that_a_push_brings(generated: dict[str, Any]) -> None:
    known = options.reduced(generated, "o")
    files = [File("conf", "[DEFAULT]\n", ini=True, options=known), File("key", "x", secret=True), File("motd", "x")]
    fine = [
        Overlay("conf", "[DEFAULT]\non = ${ON}\n"),
        Overlay("key", "[no"),
        Overlay("gone", "x"),
        Overlay("motd", "y"),
    ]
    check_overlays(files, fine)
    with pytest.raises(errors.BadInput, match=r"conf for web on n1: \[DEFAULT\] off is not known"):
        check_overlays(files, [*fine, Overlay("conf", "[DEFAULT]\noff = 1\n", "web", "n1")])
