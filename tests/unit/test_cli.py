# SPDX-License-Identifier: Apache-2.0
"""The command line against a small platform that speaks real HTTP on loopback."""

from __future__ import annotations

import io
import json
import os
import pathlib
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from cli_platform import Platform, Run

from stackyard.cli import clouds, logs, sources
from stackyard.cli.session import Session


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "Guest Book"
    path.mkdir()
    (path / "app.py").write_text("print('hello')\n")
    return path


def pushed(run: Run, folder: pathlib.Path, name: str = "guestbook") -> None:
    assert run("push", str(folder), "--app", name)[0] == 0


class TestPush:
    def test_tells_log_steps_and_result(self, run: Run, platform: Platform, folder: pathlib.Path) -> None:
        code, out, err = run("push", str(folder), "--app", "guestbook")
        assert code == 0
        assert out.splitlines()[0] == "Release: 1"
        assert re.search(r"^Seconds: \d+\.\d$", out, re.MULTILINE)
        assert out.splitlines()[-1] == "URL: http://guestbook.demo.localhost:8080"
        assert "│ Step 1/2 : FROM base\n" in err
        assert "│ green é\n" in err, "escape sequences are taken out, letters stay whole"
        assert "│ last line\n" in err
        assert "Image: web sha256:12ab" in out.splitlines()
        order = [err.index(f"✓ {step}") for step in ("receive", "detect", "build", "release", "health", "switch")]
        assert order == sorted(order)
        assert len(platform.sources) == 1

    def test_default_name_is_the_folders(self, run: Run, platform: Platform, folder: pathlib.Path) -> None:
        assert run("push", str(folder))[0] == 0
        assert list(platform.apps) == ["guest-book"]

    def test_buildpacks_are_the_application_s_choice(self, run: Run, platform: Platform, folder: pathlib.Path) -> None:
        urls = ["https://example.org/a#v1", "https://example.org/b"]
        words = [word for url in urls for word in ("--buildpack", url)]
        assert run("push", str(folder), "--app", "guestbook", *words)[0] == 0
        pushed(run, folder)
        code, out, _ = run("show", "guestbook")
        assert code == 0
        assert re.search(r"^buildpacks +https://example.org/a#v1, https://example.org/b$", out, re.MULTILINE)
        assert json.loads(run("show", "guestbook", "--json")[1])["buildpacks"] == urls
        assert run("push", str(folder), "--app", "guestbook", "--no-buildpacks")[0] == 0
        assert re.search(r"^buildpacks +none \(as the source says\)$", run("show", "guestbook")[1], re.MULTILINE)
        code, _, err = run("push", str(folder), "--app", "guestbook", "--no-buildpacks", "--buildpack", urls[0])
        assert (code, "not both" in err) == (2, True)

    def test_json(self, run: Run, folder: pathlib.Path) -> None:
        code, out, err = run("push", str(folder), "--app", "guestbook", "--revision", "abc", "--json")
        result = json.loads(out)
        assert (code, err) == (0, "")
        assert (result["release"], result["revision"], result["app"]) == (1, "abc", "guestbook")
        assert result["url"] == "http://guestbook.demo.localhost:8080"

    def test_an_unchanged_folder_is_not_sent_twice(self, run: Run, platform: Platform, folder: pathlib.Path) -> None:
        pushed(run, folder)
        pushed(run, folder)
        assert sum(line.endswith("/sources") for line in platform.seen) == 1

    def test_is_sent_again_when_the_platform_forgot_it(
        self, run: Run, platform: Platform, folder: pathlib.Path
    ) -> None:
        pushed(run, folder)
        platform.sources.clear()
        pushed(run, folder)
        assert platform.apps["guestbook"]["release"] == 2

    def test_failure_names_reason_and_what_serves(self, run: Run, platform: Platform, folder: pathlib.Path) -> None:
        pushed(run, folder)
        platform.fail_with = "pip: no matching distribution"
        code, out, err = run("push", str(folder), "--app", "guestbook")
        assert code == 1
        assert out == ""
        assert "error: push failed: pip: no matching distribution; release 1 goes on serving" in err

    def test_a_broken_connection_is_picked_up(self, run: Run, platform: Platform, folder: pathlib.Path) -> None:
        platform.break_log_after = 14
        code, _, err = run("push", str(folder), "--app", "guestbook")
        assert code == 0
        shown = [line.removeprefix("  │ ") for line in err.splitlines() if line.startswith("  │")]
        assert shown == ["-----> Python", "Step 1/2 : FROM base", "green é", "last line"]

    def test_git_url(self, run: Run, platform: Platform) -> None:
        assert run("push", "git@forge.test:team/Shop.git", "--revision", "v2")[0] == 0
        source = platform.workflows["shop"][0]["source"]
        assert source == {"repository": "ssh://git@forge.test/team/Shop.git", "revision": "v2"}

    def test_dangerous_transport(self, run: Run, platform: Platform) -> None:
        code, _, err = run("push", "ext::sh -c id", "--app", "x")
        assert (code, platform.apps) == (1, {}), "an application made for a refused push goes again"
        assert "must be a URL that begins with" in err

    def test_no_such_folder(self, run: Run, platform: Platform) -> None:
        code, _, err = run("push", "nowhere", "--app", "x")
        assert (code, platform.apps) == (1, {})
        assert "error: nowhere is no folder and no git URL" in err

    def test_detach(self, run: Run, folder: pathlib.Path) -> None:
        code, out, _ = run("push", str(folder), "--app", "guestbook", "--detach")
        assert code == 0
        assert "push 1 of guestbook is on its way" in out

    def test_interrupt_leaves_the_push_running(self, platform: Platform, folder: pathlib.Path) -> None:
        platform.step_seconds = 0.5
        command = [sys.executable, "-m", "stackyard.cli.main", "push", str(folder), "--app", "guestbook"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        wait_for(lambda: any("output" in line for line in platform.seen))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        assert process.returncode == 130
        assert "the push goes on without you; 'stackyard builds guestbook' tells how it ends" in err
        wait_for(lambda: platform.apps["guestbook"]["release"] == 1)


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("waited 10 s in vain")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("https://forge.test/a/My_App.git", "my-app"),
        ("git@forge.test:app.git", "app"),
        ("/srv/Some Thing/", "some-thing"),
        ("/srv/" + "a" * 70, "a" * 63),
    ],
)
def test_default_name(source: str, name: str) -> None:
    assert sources.default_name(source) == name


class TestApplications:
    def test_lists(self, run: Run, folder: pathlib.Path) -> None:
        assert "no applications yet" in run("apps")[1]
        pushed(run, folder)
        assert "http://guestbook.demo.localhost:8080" in run("apps")[1]
        assert json.loads(run("apps", "--json")[1])[0]["name"] == "guestbook"
        for command, word in (("ps", "running"), ("releases", "push"), ("builds", "DEPLOYMENT_COMPLETE")):
            assert word in run(command, "guestbook")[1]
            assert len(json.loads(run(command, "guestbook", "--json")[1])) == 1
        assert "guestbook was made" in run("events", "guestbook")[1]

    def test_unknown_application(self, run: Run) -> None:
        code, _, err = run("ps", "nothing")
        assert code == 1
        assert "error: " in err

    def test_scale(self, run: Run, folder: pathlib.Path) -> None:
        pushed(run, folder)
        code, out, _ = run("scale", "guestbook", "web=3", "--json")
        assert code == 0
        assert len(json.loads(out)) == 3

    @pytest.mark.parametrize("word", ["web", "web=", "web=x", "web=-1", "=2"])
    def test_scale_wrongly(self, run: Run, word: str) -> None:
        code, _, err = run("scale", "guestbook", "--", word)
        assert code == 2
        assert "web" in err

    def test_scale_of_an_unknown_service(self, run: Run, folder: pathlib.Path) -> None:
        pushed(run, folder)
        code, _, err = run("scale", "guestbook", "db=2")
        assert code == 1
        assert "error: no service 'db'; services: web" in err

    def test_rollback(self, run: Run, folder: pathlib.Path) -> None:
        pushed(run, folder)
        assert "has no release before" in run("rollback", "guestbook")[2]
        pushed(run, folder)
        code, out, _ = run("rollback", "guestbook")
        assert code == 0
        assert out.splitlines()[0] == "Release: 3"
        assert json.loads(run("releases", "guestbook", "--json")[1])[0]["summary"] == "like 1"
        assert json.loads(run("rollback", "guestbook", "2", "--json")[1])["release"] == 4

    def test_config(self, run: Run, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pushed(run, folder)
        monkeypatch.setenv("SECRET", "from here")
        assert "Release: 2" in run("config", "guestbook", "set", "GREETING=a=b", "SECRET")[1]
        assert json.loads(run("config", "guestbook", "--json")[1]) == {"GREETING": "a=b", "SECRET": "from here"}
        assert run("config", "guestbook", "unset", "SECRET")[0] == 0
        assert run("config", "guestbook")[1].split() == ["KEY", "VALUE", "GREETING", "a=b"]

    def test_secrets(self, run: Run, platform: Platform, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pushed(run, folder)
        monkeypatch.setenv("TOKEN", "from here")
        monkeypatch.setattr(sys, "stdin", io.StringIO("two\nlines\n"))
        done = run("config", "guestbook", "set", "--secret", "TOKEN", "KEY=-", "OTHER=a=b")
        assert "Release: 2" in done[1]
        told = {"TOKEN": {"secret": "from here"}, "KEY": {"secret": "two\nlines"}, "OTHER": {"secret": "a=b"}}
        assert platform.config["guestbook"] == told
        shown = run("config", "guestbook")[1]
        assert shown.split() == ["KEY", "VALUE", *(word for key in sorted(told) for word in (key, "(secret)"))]
        for value in ("from here", "lines", "a=b"):
            assert value not in "".join(map(str, done)) + shown

    @pytest.mark.parametrize(
        "words",
        [["set"], ["drop", "X"], ["unset", "X=1"], ["set", "NOT_IN_THIS_SHELL"], ["unset", "X", "--secret"]],
    )
    def test_config_wrongly(self, run: Run, words: list[str]) -> None:
        assert run("config", "guestbook", *words)[0] == 2

    def test_destroy_without_a_terminal(self, run: Run, platform: Platform, folder: pathlib.Path) -> None:
        pushed(run, folder)
        assert run("destroy", "guestbook")[0] == 0
        assert platform.apps == {}
        assert run("destroy", "guestbook")[0] == 1


class TestLogs:
    @pytest.fixture(autouse=True)
    def lines(self, platform: Platform, run: Run, folder: pathlib.Path) -> None:
        pushed(run, folder)
        platform.lines = [
            {"at": "2026-01-01T00:00:01.5Z", "service": "web", "replica": "1", "stream": "stdout", "text": "one"},
            {"at": "2026-01-01T00:00:02.5Z", "service": "redis", "replica": "1", "stream": "stdout", "text": "two"},
            {"at": "2026-01-01T00:00:03.5Z", "service": "web", "replica": "2", "stream": "stderr", "text": "three"},
        ]

    def test_plain(self, run: Run) -> None:
        assert run("logs", "guestbook")[1] == "web.1 | one\nredis.1 | two\nweb.2   | three\n"

    def test_choices(self, run: Run) -> None:
        assert run("logs", "--tail", "1", "guestbook")[1] == "web.2 | three\n"
        assert run("logs", "--service", "redis", "--timestamps", "guestbook")[1] == (
            "redis.1 | 2026-01-01T00:00:02.5Z two\n"
        )

    def test_follow_ends_with_the_stream(self, run: Run) -> None:
        assert len(run("logs", "-f", "guestbook")[1].splitlines()) == 3

    def test_json(self, run: Run) -> None:
        assert [json.loads(line)["text"] for line in run("logs", "--json", "guestbook")[1].splitlines()] == [
            "one",
            "two",
            "three",
        ]

    def test_replica_names(self) -> None:
        assert logs.replica_name({"service": "web", "replica": "web.2"}) == "web.2"
        assert logs.replica_name({"service": "web", "replica": 2}) == "web.2"


class TestSession:
    def test_token_is_kept_privately_and_used_again(self, run: Run, platform: Platform) -> None:
        run("apps")
        run("apps")
        assert len(platform.tokens) == 1
        files = list((clouds.state_dir() / "tokens").iterdir())
        assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600]

    def test_a_refused_token_is_renewed(self, run: Run, platform: Platform, folder: pathlib.Path) -> None:
        run("apps")
        platform.tokens.clear()
        assert run("push", str(folder), "--app", "x")[0] == 0
        assert len(platform.tokens) == 1

    def test_a_changed_clouds_yaml_is_read_again(self, run: Run, platform: Platform) -> None:
        run("apps")
        os.utime(clouds.state_dir() / "clouds.yaml", (1, 1))
        run("apps")
        assert len(platform.tokens) == 2

    def test_nothing_answers(self, run: Run, platform: Platform) -> None:
        path = clouds.state_dir() / "clouds.yaml"
        path.write_text(platform.clouds().replace(platform.url, "http://127.0.0.1:9"))
        code, _, err = run("apps")
        assert code == 1
        assert "error: the platform does not answer at http://127.0.0.1:9" in err
        assert err.rstrip().endswith("start it with 'stackyard up'")

    def test_no_platform_at_all(self, run: Run) -> None:
        (clouds.state_dir() / "clouds.yaml").unlink()
        code, _, err = run("apps")
        assert code == 1
        assert "run 'stackyard up'" in err

    def test_wrong_password(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OS_CLOUD", "locked")
        code, _, err = run("apps")
        assert code == 1
        assert "refuses the login of cloud 'locked'" in err

    def test_unknown_cloud(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OS_CLOUD", "elsewhere")
        assert "'elsewhere'" in run("apps")[2]

    def test_clouds_yaml_named_by_the_environment(
        self, run: Run, platform: Platform, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "mine.yaml"
        file.write_text(platform.clouds())
        monkeypatch.setenv("STACKYARD_STATE_DIR", str(tmp_path / "none"))
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
        monkeypatch.setenv("OS_CLOUD", "stackyard")
        assert run("apps")[0] == 0

    def test_endpoints_with_and_without_version(self, platform: Platform) -> None:
        assert Session("application_deployment").get("/apps") == []
        assert Session("container-infra").get("/clusters") == {"clusters": []}


def test_a_kept_token_needs_no_openstack_libraries(platform: Platform, run: Run) -> None:
    """What makes a command start fast: neither clouds.yaml nor Keystone's client is loaded again."""
    run("apps")
    script = (
        "import sys; from stackyard.cli import main; code = main._run(['apps']);"
        "print(code, [m for m in ('openstack', 'keystoneauth1', 'requests', 'yaml', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
