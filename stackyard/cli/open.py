# SPDX-License-Identifier: Apache-2.0
"""`stackyard open`: an application in the browser, or its address where there is none. Talks HTTP only."""

from __future__ import annotations

import os
import sys
import webbrowser

import click

from stackyard.cli import output
from stackyard.cli.push import SERVICE
from stackyard.cli.session import Session, quote
from stackyard.model import errors


@click.command("open")
@click.argument("app")
@click.option("--service", help="This service's own address instead of the main one's.")
@click.option("--print", "only_print", is_flag=True, help="Print the address and open nothing.")
@output.env_option
@output.json_option
def open_app(app: str, service: str | None, only_print: bool, environment: str | None, as_json: bool) -> None:
    """Open an application in the browser; without a browser, print its address."""
    found = Session(SERVICE).get(f"/apps/{quote(app)}", environment=environment)
    url = _url(app, found["app_url"], found.get("urls") or {}, service)
    if as_json:
        output.print_json({"app": app, "service": service, "url": url})
    elif only_print or not browser() or click.launch(url) != 0:
        click.echo(url)
    else:
        click.echo(url, err=True)


def _url(app: str, main: str | None, urls: dict[str, str], service: str | None) -> str:
    """Return the address asked for; raises NotFound with what there is instead."""
    if not urls and not main:
        raise errors.NotFound(f"{app} has no address: nothing of it listens on a port, or it was not pushed yet")
    if service is None:
        return str(main)
    if service not in urls:
        raise errors.NotFound(f"{app} has no service {service!r} with an address; it has: {', '.join(sorted(urls))}")
    return urls[service]


def browser() -> bool:
    """Tell whether there is somebody before a screen, and a browser to show them something in."""
    if not sys.stdout.isatty():
        return False
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
