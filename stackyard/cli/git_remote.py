# SPDX-License-Identifier: Apache-2.0
"""`stackyard git-remote APP`, and the credential helper that lets `git push stackyard main` just work.

The helper is called by git (see gitcredentials(7)). It gives a token of the cloud that the environment names, and only
to that cloud's own address.
"""

from __future__ import annotations

import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import urllib.parse

import click

from stackyard.cli import output
from stackyard.cli.push import SERVICE, find_or_create
from stackyard.cli.session import Session, quote
from stackyard.model import errors

TOKEN_USER = "token"  # noqa: S105


@click.command("git-remote")
@click.argument("app")
@click.option("--name", default="stackyard", show_default=True, help="What the remote shall be called.")
@click.option("--cluster", help="Cluster for an application made now. Default: the project's only one.")
@output.json_option
def git_remote(app: str, name: str, cluster: str | None, as_json: bool) -> None:
    """Set this git repository up for 'git push stackyard main'.

    The application is made when it is absent. Run it again after a change of clouds.yaml.
    """
    _git("rev-parse", "--git-dir")
    session = Session(SERVICE)
    known, _ = find_or_create(session, app, cluster)
    url = f"{session.endpoint}/apps/{quote(known['name'])}/git"
    verb = "set-url" if name in _git("remote").split() else "add"
    _git("remote", verb, name, url)
    for key, value in _settings(session, url):
        _git("config", "--local", "--replace-all", key, value)
    _helpers(_origin(url))
    if as_json:
        output.print_json({"app": known["name"], "remote": name, "url": url})
    else:
        click.echo(f"remote {name} is {url}\nnow: git push {name} main")


def _settings(session: Session, url: str) -> list[tuple[str, str]]:
    """Return how git is to check the platform's certificate, where clouds.yaml says."""
    verify = session.verify
    if verify is False:
        return [(f"http.{_origin(url)}.sslVerify", "false")]
    return [(f"http.{_origin(url)}.sslCAInfo", str(verify))] if isinstance(verify, str) else []


def _helpers(origin: str) -> None:
    """Make our helper the only one for the platform: another must not keep tokens, which end soon."""
    key = f"credential.{origin}.helper"
    cloud = os.environ.get("OS_CLOUD")
    words = [_program(), "git-credential", *(["--cloud", cloud] if cloud else [])]
    _git("config", "--local", "--replace-all", key, "")
    _git("config", "--local", "--add", key, "!" + shlex.join(words))


def _program() -> str:
    """Return this command as git can call it from anywhere."""
    called = pathlib.Path(sys.argv[0])
    found = shutil.which("stackyard")
    return str(called.absolute()) if called.name == "stackyard" and called.exists() else found or "stackyard"


def _origin(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise errors.Unavailable("there is no git on this machine; install it, or use: stackyard push DIR") from None
    except subprocess.CalledProcessError as error:
        words = (error.stderr.strip().splitlines() or ["git failed"])[-1]
        raise errors.BadInput(f"{words} (run this in the git repository of the application)") from None
    return done.stdout.strip()


# --- called by git -----------------------------------------------------------------------------


@click.command("git-credential", hidden=True)
@click.argument("operation")
@click.option("--cloud", help="Cloud of clouds.yaml, where the environment names none.")
def git_credential(operation: str, cloud: str | None) -> None:
    """Give git a token for the platform (operation `get`); there is nothing to store or erase."""
    asked = dict(line.rstrip("\n").partition("=")[::2] for line in sys.stdin)
    if operation != "get":
        return
    if cloud and not os.environ.get("OS_AUTH_URL"):
        os.environ.setdefault("OS_CLOUD", cloud)
    session = Session(SERVICE)
    if _origin(session.endpoint) != f"{asked.get('protocol', '')}://{asked.get('host', '')}":
        raise errors.BadInput(
            f"no token for {asked.get('host')}: the cloud of this environment is at {_origin(session.endpoint)};"
            " set OS_CLOUD to the one that the remote is for"
        )
    click.echo(f"username={TOKEN_USER}\npassword={session.proved_token()}")
