# SPDX-License-Identifier: Apache-2.0
"""`git push` with git's own client against the API on loopback; what the worker would do, the tests do by hand."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.serving import make_server

from stackyard.drivers.sources.archives import SourceFolder
from stackyard.drivers.sources.repositories import BareRepositories, Room
from stackyard.model.applications import AppSpec, Release, Service
from stackyard.model.builds import Build, BuildObserved, Step
from stackyard.model.phase import Trigger
from tests.api.world import MEMBER, OTHER, READER, World

OPEN = "open-sesame"
Server = Callable[[], str]


@pytest.fixture
def url(full: World) -> Iterator[str]:
    """The address of the application's repository, without a login."""

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        environ["wsgi.multithread"] = True
        return full.app(environ, start)  # which a test may have changed

    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/application-deployment/v1/apps/shop/git"
    server.shutdown()


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    """A repository with one commit on branch main."""
    folder = tmp_path / "work tree"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "app.py", "print(1)\n")
    return folder


def git(folder: pathlib.Path, *arguments: str) -> str:
    done = run(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run(folder: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )


def command(*arguments: str) -> list[str]:
    return ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", *arguments]


def environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}


def commit(folder: pathlib.Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", name)
    return git(folder, "rev-parse", "HEAD")


def signed(url: str, user: str = "token", password: str = MEMBER) -> str:
    quoted = password.replace("@", "%40").replace(":", "%3A").replace(",", "%2C")
    return url.replace("://", f"://{user}:{quoted}@")


class Worker:
    """Ends each push that comes, after some lines of output: well, or as `reason` says."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.reason = ""
        self.hold = threading.Event()
        self.hold.set()
        self.seen: list[Build] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(0.05):
            with self.world.store.reading() as tx:
                waiting = [build for build in tx.builds.list() if build.phase.value == "creating"]
            for build in waiting:
                self._end(build)

    def _end(self, build: Build) -> None:
        with self.world.store.saving() as tx:
            tx.builds.append_log(build.id, "Step 1/2 : FROM \x1b[31mbase\nlast ")
            tx.builds.append_log(build.id, "line\n")
        while not self.hold.wait(0.05):
            if self._over.is_set():
                return
        self.seen.append(build)
        number = len(self.seen) + 1
        observed = BuildObserved(
            Step.DONE, build.source.digest, build.source.revision, seconds={"detect": 0.1, "build": 1.5, "health": 0.2}
        )
        if self.reason:
            self.world.fail("builds", build.id, self.reason)
            return
        with self.world.store.reading() as tx:
            app = tx.applications.get(build.app_id)
        release_of(self.world, build, number)
        images = {"web": "registry/id-demo/shop/web@sha256:12ab"}
        self.world.reach("builds", build.id, observed=dataclasses.replace(observed, release=number, images=images))
        del app


def release_of(world: World, build: Build, number: int) -> None:
    """Let the build's release serve."""
    spec = AppSpec((Service("web", image="registry/id-demo/shop/web@sha256:12ab", port=8000),))
    release = Release(
        project_id=build.project_id,
        app_id=build.app_id,
        number=number,
        spec=spec,
        environment=build.environment,
        build_id=build.id,
        summary="push",
    )
    with world.store.transaction() as tx:
        tx.releases.insert(release)
        deployment = tx.deployments.of(build.app_id, build.environment)
        assert deployment
        tx.deployments.change(deployment, Trigger.CHANGE, "release", release=number)
    world.reach("deployments", deployment.id, serving=number)


@pytest.fixture
def worker(full: World) -> Iterator[Worker]:
    worker = Worker(full)
    yield worker
    worker.stop()


def remote_lines(stderr: str) -> list[str]:
    return [line.removeprefix("remote: ").rstrip() for line in stderr.splitlines() if line.startswith("remote:")]


def test_a_push_deploys_and_tells_how(url: str, tree: pathlib.Path, worker: Worker, full: World) -> None:
    done = run(tree, "push", signed(url), "main")
    assert done.returncode == 0, done.stderr
    lines = remote_lines(done.stderr)
    text = "\n".join(lines)
    head = git(tree, "rev-parse", "HEAD")
    assert re.search(rf"^✓ receive +\d+\.\d s +commit {head[:12]} of main$", text, re.MULTILINE)
    assert "  │ Step 1/2 : FROM base" in lines, "escape sequences are taken out"
    assert "  │ last line" in lines
    order = [
        text.index(word) for word in ("→ push 1 of shop", "✓ detect", "✓ build", "✓ health", "Release: 2", "URL: ")
    ]
    assert order == sorted(order)
    assert "✓ build       1.5 s" in lines
    assert "Image: web sha256:12ab" in lines
    assert lines[-1] == "URL: http://shop.demo.localhost:8080"
    assert "\x1b" not in done.stderr
    assert worker.seen[0].source.revision == head
    assert git(tree, "ls-remote", signed(url)).split()[1::2] == ["HEAD", "refs/heads/main"]


def test_the_archive_is_the_commit(
    url: str, tree: pathlib.Path, worker: Worker, full: World, tmp_path: pathlib.Path
) -> None:
    (tree / "app.py").write_text("not committed\n")
    git(tree, "push", "-q", signed(url), "HEAD:main")
    full.services.sources.unpack(worker.seen[0].source.digest, str(tmp_path))
    assert (tmp_path / "app.py").read_text() == "print(1)\n"


def test_on_a_terminal_there_is_colour(url: str, tree: pathlib.Path, worker: Worker) -> None:
    shell = " ".join(f"'{word}'" for word in command("push", signed(url), "main"))
    done = subprocess.run(
        ["script", "-qec", shell, "/dev/null"], cwd=tree, env=environment(), capture_output=True, text=True, check=True
    )
    assert "\x1b[32m✓\x1b[0m build" in done.stdout


def test_a_failed_build_refuses_the_push(url: str, tree: pathlib.Path, worker: Worker) -> None:
    worker.reason = "pip: no matching distribution"
    done = run(tree, "push", signed(url), "main", "HEAD:refs/heads/other")
    assert done.returncode == 1
    assert "remote: ✗ push failed: pip: no matching distribution; release 1 goes on serving" in done.stderr
    assert "pre-receive hook declined" in done.stderr
    assert git(tree, "ls-remote", signed(url)) == ""
    worker.reason = ""
    assert run(tree, "push", signed(url), "main").returncode == 0, "the same commit can be pushed again"


def test_nothing_changed(url: str, tree: pathlib.Path, worker: Worker) -> None:
    git(tree, "push", "-q", signed(url), "main")
    began = time.monotonic()
    done = run(tree, "push", signed(url), "HEAD:master")
    assert "✓ nothing changed; release 2 serves" in remote_lines(done.stderr)
    assert done.returncode == 0
    assert len(worker.seen) == 1
    assert time.monotonic() - began < 3


def test_other_branches_and_tags_are_stored(url: str, tree: pathlib.Path, worker: Worker) -> None:
    git(tree, "tag", "v1")
    done = run(tree, "push", signed(url), "HEAD:refs/heads/wip", "v1")
    assert done.returncode == 0, done.stderr
    assert "! wip is stored; only a push to main (or master) deploys" in remote_lines(done.stderr)
    assert worker.seen == []
    copy = tree.parent / "copy"
    git(tree, "clone", "-q", "-b", "wip", signed(url), str(copy))
    assert (copy / "app.py").read_text() == "print(1)\n"
    assert run(tree, "push", signed(url), ":wip").returncode == 0, "what is only stored can be deleted"


@pytest.fixture
def staging(full: World, url: str) -> str:
    """The address of an environment's repository."""
    made = full.call("POST", "/application-deployment/v1/apps/shop/environments", {"name": "staging"})
    assert made.status_code == 201, made.text
    return url.removesuffix("/git") + "/environments/staging/git"


def test_an_environment_is_pushed_to_as_well_as_production(
    url: str, staging: str, tree: pathlib.Path, worker: Worker
) -> None:
    done = run(tree, "push", signed(staging), "main")
    assert done.returncode == 0, done.stderr
    assert "of main for staging" in done.stderr
    assert "URL: http://staging--shop.demo." in done.stderr
    done = run(tree, "push", signed(url), "main")
    assert "URL: http://shop.demo." in done.stderr
    assert [build.environment for build in worker.seen] == ["staging", "production"]
    head = git(tree, "rev-parse", "HEAD")
    commit(tree, "app.py", "print(2)\n")
    assert run(tree, "push", signed(url), "main").returncode == 0
    assert git(tree, "ls-remote", signed(staging), "refs/heads/main").split()[0] == head
    assert "nothing changed" in run(tree, "push", signed(staging), f"{head}:refs/heads/master").stderr


def test_a_remote_of_an_environment_takes_what_deploys_only(
    full: World, staging: str, tree: pathlib.Path, worker: Worker
) -> None:
    done = run(tree, "push", signed(staging), "main:wip")
    assert done.returncode == 1
    assert "wip can't be pushed here: staging is deployed from main or master" in done.stderr
    assert "git push REMOTE wip:main" in done.stderr
    git(tree, "tag", "v1")
    assert "can't be pushed here" in run(tree, "push", signed(staging), "v1").stderr
    branch = staging.removesuffix("/git") + "/branches/feature~x/git"
    done = run(tree, "push", signed(branch), "main")
    assert "main can't be pushed here: staging is deployed from feature/x;" in done.stderr
    assert worker.seen == []
    done = run(tree, "push", signed(branch), "main:feature/x")
    assert done.returncode == 0, done.stderr
    assert [build.environment for build in worker.seen] == ["staging"]


def test_an_environment_that_goes_takes_its_repository_along(
    full: World, staging: str, tree: pathlib.Path, worker: Worker
) -> None:
    assert run(tree, "push", signed(staging), "main").returncode == 0
    assert "main" in git(tree, "ls-remote", signed(staging))
    with full.store.reading() as tx:
        gone = next(each for each in tx.deployments.list() if each.environment == "staging")
    repositories = pathlib.Path(full.conf.state_dir) / "repositories"
    assert list(repositories.glob(f"*{gone.id}.git"))
    full.call("DELETE", "/application-deployment/v1/apps/shop/environments/staging")
    assert not list(repositories.glob(f"*{gone.id}.git"))
    nowhere = staging.replace("staging", "elsewhere")
    done = run(tree, "ls-remote", signed(nowhere))
    assert done.returncode != 0
    assert "not found" in done.stderr


@pytest.mark.parametrize(
    ("refs", "words"),
    [
        (["HEAD:refs/stackyard/x"], "refs/stackyard/x can't be pushed here; push a branch or a tag"),
        (["HEAD:main", "HEAD:master"], "main and master can't be pushed at once"),
    ],
)
def test_what_can_not_be_pushed(url: str, tree: pathlib.Path, worker: Worker, refs: list[str], words: str) -> None:
    done = run(tree, "push", signed(url), *refs)
    assert done.returncode == 1
    assert f"remote: error: {words}" in done.stderr
    assert worker.seen == []


def test_the_deployed_branch_can_not_be_deleted(url: str, tree: pathlib.Path, worker: Worker) -> None:
    git(tree, "push", "-q", signed(url), "main")
    assert "main can't be deleted: it is what is deployed" in run(tree, "push", signed(url), ":main").stderr


def test_user_and_password(url: str, tree: pathlib.Path, worker: Worker) -> None:
    assert run(tree, "push", signed(url, "ann", OPEN), "main").returncode == 0
    wrong = run(tree, "push", signed(url, "ann", "wrong"), "main")
    assert wrong.returncode == 128
    assert "Authentication failed" in wrong.stderr
    assert "could not read Username" in run(tree, "push", url, "main").stderr


def test_another_projects_application_is_not_there(url: str, tree: pathlib.Path, full: World) -> None:
    done = run(tree, "push", signed(url, password=OTHER), "main")
    assert "application 'shop' could not be found" in done.stderr
    assert "not found" in done.stderr
    assert "could not be found" in run(tree, "ls-remote", signed(url, password=OTHER)).stderr


def test_readers_fetch_but_do_not_push(url: str, tree: pathlib.Path, worker: Worker) -> None:
    git(tree, "push", "-q", signed(url), "main")
    assert "refs/heads/main" in git(tree, "ls-remote", signed(url, password=READER))
    assert "Policy doesn't allow create_workflow" in run(tree, "push", signed(url, password=READER), "main:x").stderr


def test_more_than_is_allowed(url: str, tree: pathlib.Path) -> None:
    (tree / "large").write_bytes(os.urandom(2 * 1024 * 1024))
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "large")
    done = run(tree, "push", signed(url), "main")
    assert done.returncode != 0
    assert "the push is larger than 1 MiB; leave generated files out of the repository" in done.stderr


def test_a_full_repository(full: World, url: str, tree: pathlib.Path, worker: Worker, tmp_path: pathlib.Path) -> None:
    sources = SourceFolder(tmp_path / "sources")
    small = BareRepositories(tmp_path / "repositories", sources, Room(repository=1))
    full.services = dataclasses.replace(full.services, repositories=small)
    full.serve()
    assert "takes more than 0 MiB here; push the folder" in run(tree, "push", signed(url), "main").stderr


def test_files_in_lfs_are_named(url: str, tree: pathlib.Path, worker: Worker) -> None:
    (tree / ".gitattributes").write_text("*.psd filter=lfs diff=lfs merge=lfs -text\n")
    git(tree, "config", "filter.lfs.clean", "cat")
    commit(tree, "a.psd", f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n")
    done = run(tree, "push", signed(url), "main")
    assert "Git LFS, which the platform does not fetch: 'a.psd'; commit their content" in done.stderr
    assert worker.seen == []


def test_a_client_that_leaves(url: str, tree: pathlib.Path, worker: Worker, full: World) -> None:
    worker.hold.clear()
    process = subprocess.Popen(
        command("push", signed(url), "main"),
        cwd=tree,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr
    for line in process.stderr:
        if "goes on without you" in line:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    worker.hold.set()
    deadline = time.monotonic() + 15
    while "refs/heads/main" not in git(tree, "ls-remote", signed(url)):
        assert time.monotonic() < deadline, "the push did not come to its end"
        time.sleep(0.1)
    assert len(worker.seen) == 1


def test_no_hook_of_a_repository_runs(
    url: str, tree: pathlib.Path, worker: Worker, full: World, tmp_path: pathlib.Path
) -> None:
    git(tree, "push", "-q", signed(url), "HEAD:wip")
    (repository,) = (tmp_path / "repositories").glob("*.git")
    hooks = repository / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("pre-receive", "update", "post-receive", "post-update"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (hooks / name).chmod(0o755)
    git(tree, "push", "-q", signed(url), "HEAD:wip2")
    assert not (tmp_path / "ran").exists()


def test_nonsense_is_refused(full: World) -> None:
    path = "/application-deployment/v1/apps/shop/git"
    assert full.call("GET", f"{path}/info/refs").status_code == 400
    assert full.call("GET", f"{path}/info/refs?service=git-shell").status_code == 400
    refused = full.call("GET", f"{path}/info/refs?service=git-receive-pack", token="")
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Basic realm=")
    for body in (b"", b"0000", b"zzzz", b"\xff" * 100, b"00ffshort"):
        assert full.call("POST", f"{path}/git-receive-pack", body).status_code == 200
    damaged = full.call("POST", f"{path}/git-upload-pack", b"nonsense", Content_Encoding="gzip")
    assert (damaged.status_code, damaged.text) == (400, "the request's body is damaged gzip data\n")
