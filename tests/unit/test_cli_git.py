# SPDX-License-Identifier: Apache-2.0
"""Ways in of the command line beside `push DIR`: git's remote and credentials, plans, output of builds."""

from __future__ import annotations

import io
import json
import pathlib
import subprocess
import sys
import urllib.parse

import pytest
from cli_platform import Platform, Run


@pytest.fixture
def repository(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    (folder / "app.py").write_text("print(1)\n")
    monkeypatch.chdir(folder)
    return folder


def configured(folder: pathlib.Path, key: str) -> list[str]:
    done = subprocess.run(["git", "config", "--get-all", key], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


class TestRemote:
    def test_makes_the_application_and_the_remote(self, run: Run, platform: Platform, repository: pathlib.Path) -> None:
        code, out, _ = run("git-remote", "shop")
        url = f"{platform.url}/application-deployment/v1/apps/shop/git"
        assert code == 0
        assert out.splitlines() == [f"remote stackyard is {url}", "now: git push stackyard main"]
        assert configured(repository, "remote.stackyard.url") == [url]
        assert list(platform.apps) == ["shop"]
        helpers = configured(repository, f"credential.{platform.url}.helper")
        assert helpers[0] == "", "other helpers would keep a token that ends soon"
        assert helpers[1].startswith("!")
        assert helpers[1].endswith("stackyard git-credential")

    def test_again_and_under_another_name(
        self, run: Run, platform: Platform, repository: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OS_CLOUD", "stackyard")
        assert run("git-remote", "shop")[0] == 0
        assert run("git-remote", "other")[0] == 0
        assert configured(repository, "remote.stackyard.url")[0].endswith("/apps/other/git")
        assert run("git-remote", "shop", "--name", "prod", "--json")[0] == 0
        assert configured(repository, "remote.prod.url")[0].endswith("/apps/shop/git")
        helpers = configured(repository, f"credential.{platform.url}.helper")
        assert len(helpers) == 2
        assert helpers[1].endswith("git-credential --cloud stackyard")

    def test_of_an_environment_and_a_branch(self, run: Run, platform: Platform, repository: pathlib.Path) -> None:
        assert run("git-remote", "shop")[0] == 0
        code, out, _ = run("git-remote", "shop", "--env", "staging")
        url = f"{platform.url}/application-deployment/v1/apps/shop/environments/staging"
        assert (code, out.splitlines()) == (0, [f"remote staging is {url}/git", "now: git push staging main"])
        assert configured(repository, "remote.stackyard.url")[0].endswith("/apps/shop/git")
        assert run("git-remote", "shop", "--env", "staging", "--branch", "feature/x", "--name", "next")[0] == 0
        assert configured(repository, "remote.next.url") == [f"{url}/branches/feature~x/git"]
        code, _, err = run("git-remote", "shop", "--env", "elsewhere")
        assert (code, "no environment" in err) == (1, True)
        assert run("git-remote", "shop", "--branch", "a..b")[0] == 1

    def test_outside_of_a_repository(
        self, run: Run, platform: Platform, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        code, _, err = run("git-remote", "shop")
        assert code == 1
        assert "run this in the git repository of the application" in err
        assert platform.apps == {}


class TestCredential:
    def ask(self, run: Run, monkeypatch: pytest.MonkeyPatch, url: str, operation: str = "get") -> tuple[int, str, str]:
        parts = urllib.parse.urlsplit(url)
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"protocol={parts.scheme}\nhost={parts.netloc}\n\n"))
        return run("git-credential", operation)

    def test_gives_a_token_that_is_accepted(
        self, run: Run, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        code, out, _ = self.ask(run, monkeypatch, platform.url)
        answer = dict(line.split("=", 1) for line in out.splitlines())
        assert code == 0
        assert answer["username"] == "token"
        assert answer["password"] in platform.tokens
        platform.tokens.clear()
        assert self.ask(run, monkeypatch, platform.url)[1] != out, "one that was refused is replaced"

    def test_gives_nothing_to_others(self, run: Run, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
        code, out, err = self.ask(run, monkeypatch, "http://evil.example.org")
        assert (code, out) == (1, "")
        assert "no token for evil.example.org" in err
        assert not any(token in err for token in platform.tokens)

    def test_stores_nothing(self, run: Run, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.ask(run, monkeypatch, platform.url, "store") == (0, "", "")
        assert self.ask(run, monkeypatch, platform.url, "erase") == (0, "", "")

    def test_is_in_no_list_of_commands(self, run: Run) -> None:
        out = run("--help")[1]
        assert "git-remote" in out
        assert "git-credential" not in out


class TestPlan:
    def test_for_people(self, run: Run, platform: Platform, repository: pathlib.Path) -> None:
        code, out, _ = run("plan", str(repository))
        assert code == 0
        assert out.splitlines() == [
            "• found Procfile",
            "",
            "service web",
            "  found    requirements.txt",
            "  runtime  Python 3.11: Debian's",
            "  install  pip for packages, again when this changes: requirements.txt",
            "  command  python app.py",
            "  port     8000",
            "",
            "service db",
            "  image    redis:7, as it is",
            "  port     none: nothing is routed to it",
            "",
            "volumes: data",
        ]
        assert platform.apps == {}

    def test_for_programs(self, run: Run, platform: Platform, repository: pathlib.Path) -> None:
        assert json.loads(run("plan", str(repository), "--json")[1])["volumes"] == ["data"]
        run("plan", str(repository))
        assert sum(line == "POST /application-deployment/v1/sources" for line in platform.seen) == 1


class TestBuilds:
    def test_logs(self, run: Run, platform: Platform, repository: pathlib.Path) -> None:
        assert run("push", str(repository), "--app", "shop")[0] == 0
        assert run("push", str(repository), "--app", "shop", "--force")[0] == 0
        for words in (("shop",), ("shop", "1"), ("shop", "1", "-f")):
            assert run("build", "logs", *words)[1].splitlines()[-2:] == ["green é", "last line"], words
        assert json.loads(run("build", "logs", "shop", "--json")[1].splitlines()[-1]) == {"text": "last line"}

    def test_following_a_failure_fails(self, run: Run, platform: Platform, repository: pathlib.Path) -> None:
        platform.fail_with = "no luck"
        run("push", str(repository), "--app", "shop")
        code, _, err = run("build", "logs", "-f", "shop")
        assert code == 1
        assert "push 1 failed: no luck" in err

    def test_none_yet(self, run: Run, platform: Platform, repository: pathlib.Path) -> None:
        run("git-remote", "shop")
        assert "has no builds yet" in run("build", "logs", "shop")[2]

    def test_list(self, run: Run, platform: Platform, repository: pathlib.Path) -> None:
        run("push", str(repository), "--app", "shop")
        assert run("builds", "shop")[1].splitlines()[1].split()[:3] == ["1", "DEPLOYMENT_COMPLETE", "done"]


def test_nothing_changed(run: Run, platform: Platform, repository: pathlib.Path) -> None:
    run("push", str(repository), "--app", "shop")
    platform.unchanged = True
    code, out, err = run("push", str(repository), "--app", "shop")
    assert code == 0
    assert "nothing changed; release 1 serves" in err
    assert out.splitlines()[0] == "Release: 1"
    assert json.loads(run("push", str(repository), "--app", "shop", "--json")[1])["unchanged"] is True
    assert len(platform.workflows["shop"]) == 1
    assert json.loads(run("push", str(repository), "--app", "shop", "--json", "--force")[1])["release"] == 2
