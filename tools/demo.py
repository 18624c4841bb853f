# SPDX-License-Identifier: Apache-2.0
"""The main job from nothing to a running application, told while it happens; run by `make demo`.

Every step is a command that a user could type, is shown as such, and is skipped or finished when an earlier run
(however it ended) got there already. Knows the platform only through its command line and the application's URL.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
from typing import IO, Any

from load import Load

from stackyard.cli import clouds
from stackyard.cli.output import Progress

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "guestbook"
STACKYARD = pathlib.Path(sys.executable).with_name("stackyard")
CLUSTER, APP = "demo", "guestbook"
MANAGERS, NODES, REPLICAS = 1, 2, 2
REQUESTS_PER_SECOND = 100
VERSION = re.compile(r'^VERSION = "(\d+)"$', re.MULTILINE)
WAIT_SECONDS = 600
IDENTITY = {
    "GIT_AUTHOR_NAME": "Demo",
    "GIT_AUTHOR_EMAIL": "demo@localhost",
    "GIT_COMMITTER_NAME": "Demo",
    "GIT_COMMITTER_EMAIL": "demo@localhost",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}

Json = dict[str, Any]


class Failed(Exception):
    """A step did not work; the message says which and what to do."""


def main() -> int:
    began = time.monotonic()
    folder = clouds.state_dir() / "demo"
    try:
        with alone(folder):
            url, load = story(Repository(folder / APP))
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; 'make demo' goes on from here", file=sys.stderr)
        return 130
    summary(url, load, time.monotonic() - began)
    return 0 if load.failed == 0 else 1


def story(repository: Repository) -> tuple[str, Load]:
    heading("The platform")
    stackyard("up")
    heading(f"A cluster of {MANAGERS + NODES} nodes")
    ensure_cluster()
    heading(f"An application, from a git repository, with {REPLICAS} web replicas")
    repository.prepare()
    push_first(repository)
    url = app()["app_url"]
    entry = f"Hello from the demo at {time.strftime('%H:%M:%S')}"
    note(f"writing an entry: {entry}")
    write_entry(url, entry)
    heading(f"A new version, pushed under {REQUESTS_PER_SECOND} requests a second")
    version = repository.change_a_line()
    with Load(url, "/entries", REQUESTS_PER_SECOND) as load:
        stackyard("push", str(repository.path), "--app", APP)
        load.until(lambda sample: sample.version == version, seconds=30)
    check_result(url, entry, version, load)
    return url, load


# --- the steps ---------------------------------------------------------------------------------


def ensure_cluster() -> None:
    """Leave a usable cluster, whatever state the last run left it in."""
    status = settled_cluster()
    if status.endswith("_FAILED"):
        note(f"cluster {CLUSTER} is {status}: making it anew")
        stackyard("cluster", "delete", CLUSTER, "--yes")
        status = ""
    if status:
        note(f"cluster {CLUSTER} is there already ({status})")
        return
    stackyard("cluster", "create", CLUSTER, "--managers", str(MANAGERS), "--nodes", str(NODES))


def settled_cluster() -> str:
    """Return the cluster's status once nothing is in progress; empty when there is none."""
    with Progress().step(f"looking at cluster {CLUSTER}"):
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            found = {each["name"]: each["status"] for each in ask("cluster", "list")}
            status = str(found.get(CLUSTER, ""))
            if not status.endswith("_IN_PROGRESS"):
                return status
            time.sleep(1)
    raise Failed(f"cluster {CLUSTER} is still {status} after {WAIT_SECONDS} s; see 'stackyard cluster show {CLUSTER}'")


def push_first(repository: Repository) -> None:
    """Push unless the version in the repository is served, and have as many replicas as the story tells."""
    if not is_served(repository.version()):
        stackyard("push", str(repository.path), "--app", APP, "--cluster", CLUSTER)
    else:
        note(f"{APP} serves version {repository.version()} already")
    running = sum(each["service"] == "web" and each["state"] == "running" for each in ask("ps", APP))
    if running != REPLICAS:
        stackyard("scale", APP, f"web={REPLICAS}")
    stackyard("ps", APP)


def is_served(version: str) -> bool:
    found = next((each for each in ask("apps") if each["name"] == APP), None)
    if not found or not found.get("app_url") or found["status"] != "DEPLOYMENT_COMPLETE":
        return False
    try:
        return str(get(found["app_url"], "/entries").get("version")) == version
    except (Failed, OSError, http.client.HTTPException, ValueError):
        return False


def app() -> Json:
    """Return the application; the URL is what the platform says, not what we expect."""
    found: Json | None = next((each for each in ask("apps") if each["name"] == APP), None)
    if not found or not found.get("app_url"):
        raise Failed(f"{APP} has no URL; see 'stackyard events {APP}'")
    return found


def check_result(url: str, entry: str, version: str, load: Load) -> None:
    seen = get(url, "/entries")
    if seen["version"] != version:
        raise Failed(f"version {version} was pushed, but {seen['version']} is served; see 'stackyard events {APP}'")
    if entry not in [each["message"] for each in seen["entries"]]:
        raise Failed("the entry written before the push is gone")
    note(f"version {version} is served, and the entry is still there")
    first = load.first(version)
    note(f"{load.total} requests meanwhile, {load.failed} failed, the slowest took {load.slowest * 1000:.0f} ms")
    if first is not None:
        note(f"the first answer of version {version} came {first:.1f} s after the push began")
    for problem in load.problems[:3]:
        note(f"a request failed: {problem}")


def summary(url: str, load: Load, seconds: float) -> None:
    heading(f"Done in {seconds:.0f} s")
    print(f"""
  Try next:
    eval "$({STACKYARD} env)"
    openstack coe cluster list
    stackyard logs -f {APP}
    stackyard rollback {APP}
  and sign the guest book in a browser.
""")
    if load.failed:
        print(f"{load.failed} of {load.total} requests failed during the push")
    print(f"URL: {url}")


# --- the repository ----------------------------------------------------------------------------


class Repository:
    """The git repository that the demo pushes: the example, with a version of its own."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make the repository, or bring it up to the example; keeps its version."""
        version = self.version() or "1"
        if not self._is_sound():
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.mkdir(parents=True)
            self._git("init", "-q", "-b", "main")
        shutil.copytree(EXAMPLE, self.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        self._write(version)
        self._commit("The guest book" if version == "1" else f"Version {version}")

    def version(self) -> str:
        """Return the version in the code; empty when there is none."""
        try:
            found = VERSION.search((self.path / "guestbook.py").read_text())
        except OSError:
            return ""
        return found[1] if found else ""

    def change_a_line(self) -> str:
        """Change the version in the code, commit, and return it."""
        version = str(int(self.version()) + 1)
        self._write(version)
        self._commit(f"Version {version}")
        note(f'changed a line of guestbook.py: VERSION = "{version}"')
        return version

    def _write(self, version: str) -> None:
        file = self.path / "guestbook.py"
        text, count = VERSION.subn(f'VERSION = "{version}"', file.read_text())
        if count != 1:
            raise Failed(f'{EXAMPLE}/guestbook.py has no line of the form VERSION = "1"')
        fresh = file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(file)

    def _is_sound(self) -> bool:
        """Tell whether git can work here; a killed git leaves locks, and at worst broken objects."""
        for lock in (self.path / ".git").glob("**/*.lock"):
            lock.unlink()
        return (self.path / ".git").is_dir() and self._git("status", "--porcelain", check=False).returncode == 0

    def _commit(self, message: str) -> None:
        self._git("add", "-A")
        if self._git("status", "--porcelain").stdout:
            self._git("commit", "-q", "-m", message)

    def _git(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["git", "-C", str(self.path), *arguments]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(command, env={**kept, **IDENTITY}, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")
        return done


# --- commands, requests, words -----------------------------------------------------------------


def stackyard(*arguments: str) -> None:
    """Run a command of the platform as a user would, shown with all that it prints."""
    print(f"$ stackyard {' '.join(arguments)}", flush=True)
    code = subprocess.run([STACKYARD, *arguments], check=False).returncode
    if code:
        raise Failed(f"'stackyard {' '.join(arguments)}' ended with {code}; when that is mended, run 'make demo' again")


def ask(*arguments: str) -> Any:
    """Run a command that only looks, and return its JSON."""
    done = subprocess.run([STACKYARD, *arguments, "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"'stackyard {' '.join(arguments)}': {done.stderr.strip().removeprefix('error: ')}")
    return json.loads(done.stdout)


def get(url: str, path: str) -> Json:
    return exchange(url, "GET", path)


def write_entry(url: str, message: str) -> None:
    exchange(url, "POST", "/entries", {"name": "Demo", "message": message})


def exchange(url: str, method: str, path: str, document: Json | None = None) -> Json:
    """Send one request to the application; its host name is below localhost, so that loopback is its address."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port or 80, timeout=10)
    body = json.dumps(document).encode() if document else None
    connection.request(method, path, body, {"Host": parts.netloc, "Content-Type": "application/json"})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    if answer.status >= 400:
        raise Failed(f"{method} {url}{path} answered {answer.status}: {data[:200].decode(errors='replace')}")
    found: Json = json.loads(data)
    return found


def heading(text: str) -> None:
    bold = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold[0]}== {text}{bold[1]}", flush=True)


def note(text: str) -> None:
    print(f"  {text}", flush=True)


class alone:  # noqa: N801  (reads as a word where it is used)
    """Let one demo run at a time; the lock ends with the process, however it ends."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._file: IO[str] | None = None

    def __enter__(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = (self._folder / "lock").open("w")
        os.set_inheritable(self._file.fileno(), False)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("another demo is running; waiting for its end")
            fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()


if __name__ == "__main__":
    sys.exit(main())
