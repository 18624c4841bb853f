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
from stackyard.model.applications import PRODUCTION

TOKEN_USER = "token"  # noqa: S105


@click.command("git-remote")
@click.argument("app")
@click.option("--name", help="What the remote shall be called. Default: stackyard, or the environment's name.")
@click.option("--branch", help="The branch that deploys, the only one to be pushed. Default: main or master.")
@output.env_option
@click.option("--cluster", help="Cluster for an application made now. Default: the project's only one.")
@output.json_option
def git_remote(app: str, cluster: str | None, as_json: bool, **place: str | None) -> None:
    """Set this git repository up for 'git push stackyard main', or 'git push staging main' with --env staging.

    The application is made when it is absent. Run it again after a change of clouds.yaml.
    """
    _git("rev-parse", "--git-dir")
    environment, branch = place["environment"], place["branch"]
    name = place["name"] or environment or "stackyard"
    session = Session(SERVICE)
    known, _ = find_or_create(session, app, cluster)
    url = session.endpoint + _path(session, known["name"], environment, branch)
    verb = "set-url" if name in _git("remote").split() else "add"
    _git("remote", verb, name, url)
    for key, value in _settings(session, url):
        _git("config", "--local", "--replace-all", key, value)
    _helpers(_origin(url))
    if as_json:
        told = {"environment": environment or PRODUCTION, "branch": branch}
        output.print_json({"app": known["name"], **told, "remote": name, "url": url})
    else:
        click.echo(f"remote {name} is {url}\nnow: git push {name} {branch or 'main'}")


def _path(session: Session, app: str, environment: str | None, branch: str | None) -> str:
    """Return where an environment is pushed to; raises NotFound where the application has no such one."""
    path = f"/apps/{quote(app)}"
    if environment or branch:
        path += f"/environments/{quote(environment or PRODUCTION)}"
        session.get(path)
    if branch:
        _git("check-ref-format", "--branch", branch)
        # Servers and proxies take an encoded slash for a plain one; `~` is in no name of a branch.
        path += f"/branches/{quote(branch.replace('/', '~'))}"
    return f"{path}/git"


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
