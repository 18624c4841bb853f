# SPDX-License-Identifier: Apache-2.0
"""What builds need of this host to reach package indexes: its CA bundle and the settings of its tools, as texts.

Called by the composition root through `TenantBuilder`. Given to builds, never kept in an image.
"""

from __future__ import annotations

import configparser
import os
import pathlib
from collections.abc import Iterator

from stackyard.drivers.builders import host_settings

CA_FILE, PIP_FILE = "ca-certificates.crt", "pip.conf"
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")
_CA_VARIABLES = (
    *("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
    *("CURL_CA_BUNDLE", "GIT_SSL_CAINFO"),
)
_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "timeout", "retries", "default-timeout", "proxy")


def build_files() -> dict[str, str]:
    """Return the files for builds: CA bundle, and a pip.conf with the settings that mean something elsewhere."""
    files = {PIP_FILE: _pip_conf(dict(_pip_settings())), **host_settings.files()}
    bundle = next((path for path in _bundles() if path.is_file()), None)
    if bundle:
        files[CA_FILE] = bundle.read_text(errors="replace")
    return files


def exports(folder: str) -> str:
    """Return shell lines that make tools use the files where a build finds them, in `folder`."""
    bundle = f"{folder}/{CA_FILE}"
    names = " ".join(f"{name}={bundle}" for name in _CA_VARIABLES)
    settings = f"{folder}/{host_settings.MAVEN_FILE}"
    return "\n".join(
        (
            f"export PIP_CONFIG_FILE={folder}/{PIP_FILE} COMPOSER_HOME={folder}",
            f"if [ -s {folder}/{host_settings.VARIABLES_FILE} ]; then . {folder}/{host_settings.VARIABLES_FILE}; fi",
            f"if [ -s {bundle} ]; then export {names}; fi",
            f"if [ -s {settings} ]; then MAVEN_SETTINGS='-s {settings}'; fi",
        )
    )


def _bundles() -> Iterator[pathlib.Path]:
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        if os.environ.get(variable):
            yield pathlib.Path(os.environ[variable])
    yield from map(pathlib.Path, _BUNDLES)


def _pip_settings() -> Iterator[tuple[str, str]]:
    """Yield pip's global settings in its own order: files from the most general on, then the environment."""
    home = pathlib.Path.home()
    named = os.environ.get("PIP_CONFIG_FILE", "")
    for path in (
        pathlib.Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        home / ".config/pip/pip.conf",
        pathlib.Path(named),
    ):
        if path.is_file():
            parser = configparser.RawConfigParser()
            try:
                parser.read(path)
            except configparser.Error:
                continue
            yield from (item for item in (parser["global"].items() if "global" in parser else ()))
    for name in _SETTINGS:
        value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
        if value:
            yield name, value


def _pip_conf(settings: dict[str, str]) -> str:
    lines = ["[global]"]
    for name in _SETTINGS:
        words = [word for word in settings.get(name, "").split() if host_settings.travels(word)]
        if words:
            lines.append(f"{name} = {' '.join(words)}")
    return "\n".join(lines) + "\n"
