# SPDX-License-Identifier: Apache-2.0
"""The options of one platform: what was given now, over what was given before, written for all its processes.

Called by the command line. The file is `stackyard.conf` in the state folder (oslo.config, 0600); what was never
given is not in it, so that defaults can improve.
"""

from __future__ import annotations

import configparser
import io
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

from oslo_config import cfg

from stackyard import conf
from stackyard.local.state import State, write
from stackyard.model import errors

Given = Mapping[tuple[str, str], str]
"""Options by (group, name); the group of ungrouped ones is DEFAULT."""

DEFAULT = "DEFAULT"


def identity_url(options: cfg.ConfigOpts) -> str:
    """Return where our own Keystone is."""
    return f"http://{_reachable(options.api.host)}:{options.identity.port}/v3"


def api_url(options: cfg.ConfigOpts) -> str:
    """Return where our API is."""
    return f"http://{_reachable(options.api.host)}:{options.api.port}"


def own_identity(options: cfg.ConfigOpts) -> bool:
    """Tell whether Keystone is our own, not one that the user named."""
    return options.identity.auth_url in (None, identity_url(options))


def _reachable(host: str) -> str:
    """Return an address to call for one that is served on."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def merge(state: State, given: Given) -> cfg.ConfigOpts:
    """Return the options of earlier times with `given` over them, unwritten; raises BadInput for unfit values."""
    sections = _read(state.conf)
    _forget_derived(sections)
    for (group, name), value in given.items():
        sections.setdefault(group, {})[name] = value
    sections.setdefault(DEFAULT, {})["state_dir"] = str(state.folder)
    return _parsed(sections)


def save(state: State, options: cfg.ConfigOpts) -> None:
    """Write the options for all processes, with the secrets and addresses that follow from them."""
    sections = _set_values(options)
    sections[DEFAULT]["state_dir"] = str(state.folder)
    database = sections.setdefault("database", {})
    database.setdefault("connection", f"sqlite:///{state / 'stackyard.db'}")
    if own_identity(options):
        identity = sections.setdefault("identity", {})
        identity.update(auth_url=identity_url(options), password=state.password(options.identity.username))
    write(state.conf, _text(sections))


def read(state: State) -> cfg.ConfigOpts:
    """Return the options that the platform was started with; raises NotFound when it never was."""
    if not state.conf.exists():
        raise errors.NotFound(f"there is no platform in {state.folder}; 'stackyard up' makes one")
    return conf.load(state.conf)


def _read(path: pathlib.Path) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(strict=False, default_section="\0")
    parser.read(path)
    return {name: dict(parser.items(name)) for name in parser.sections()}


def _forget_derived(sections: dict[str, dict[str, str]]) -> None:
    """Drop the address and password of our own Keystone, which follow from other options."""
    identity = sections.get("identity", {})
    if "auth_url" in identity and own_identity(_parsed(sections)):
        identity.pop("auth_url")
        identity.pop("password", None)


def _parsed(sections: dict[str, dict[str, str]]) -> cfg.ConfigOpts:
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(_text(sections))
        file.flush()
        try:
            options = conf.load(file.name)
            for group, registered in conf.GROUPS.items():
                for option in registered:
                    _value(options, group, option.dest)
        except cfg.Error as error:
            raise errors.BadInput(str(error).replace(file.name, "the options")) from None
    return options


def _value(options: cfg.ConfigOpts, group: str | None, name: str) -> Any:
    return getattr(getattr(options, group) if group else options, name)


def _set_values(options: cfg.ConfigOpts) -> dict[str, dict[str, str]]:
    """Return all options that were set in a file, as text."""
    sections: dict[str, dict[str, str]] = {DEFAULT: {}}
    for group, registered in conf.GROUPS.items():
        for option in registered:
            place = options.get_location(option.dest, group)
            if place is not None and place.location is cfg.Locations.user:
                sections.setdefault(group or DEFAULT, {})[option.dest] = str(_value(options, group, option.dest))
    return sections


def _text(sections: Mapping[str, Mapping[str, str]]) -> str:
    parser = configparser.RawConfigParser(default_section="\0")
    # In one order, whatever was given first: a file that says the same must look the same.
    ordered = {name: dict(sorted(options.items())) for name, options in sorted(sections.items()) if options}
    parser.read_dict(ordered)
    text = io.StringIO()
    text.write("# Written by `stackyard up`, which keeps what is changed here by hand.\n")
    parser.write(text)
    return text.getvalue()
