# SPDX-License-Identifier: Apache-2.0
"""`stackyard cluster config` and `rotate`: certificates that make plain `docker` talk to a cluster.

The private key is made here and never leaves this machine; the platform signs a request for it. The form of what is
printed is that of `openstack coe cluster config`.
"""

from __future__ import annotations

import datetime
import os
import pathlib
import re
import shlex
import shutil
import sys
import tempfile

import click

from stackyard.cli import infra, output
from stackyard.cli.following import Operation
from stackyard.cli.infra import Json
from stackyard.cli.nodegroups import finish, wait_option
from stackyard.cli.session import Session
from stackyard.model import errors

FILES = ("ca.pem", "cert.pem", "key.pem")


@click.command()
@click.argument("name")
@click.option(
    "--dir", "folder", type=click.Path(file_okay=False, path_type=pathlib.Path), help="Where the files go instead."
)
@output.json_option
def config(name: str, folder: pathlib.Path | None, as_json: bool) -> None:
    """Get a certificate for `docker`, and print exports: eval "$(stackyard cluster config NAME)"."""
    api = infra.session()
    known = infra.cluster(api, name)
    address = _address(known)
    folder = _prepared(folder or home(known), private=folder is None)
    until = _write(folder, *_signed(api, known))
    if as_json:
        exports = {"DOCKER_HOST": address, "DOCKER_CERT_PATH": str(folder), "DOCKER_TLS_VERIFY": "1"}
        output.print_json({**exports, "valid_until": until.isoformat()})
        return
    _tell(name, until)
    click.echo("\n".join(_exports(address, folder)))


@click.command()
@click.argument("name")
@click.option("--revoke", is_flag=True, help="Refuse all client certificates that were given out before.")
@wait_option
@output.json_option
def rotate(name: str, revoke: bool, wait: bool, as_json: bool) -> None:
    """Give a cluster a new certificate authority, node by node; clients go on working unless --revoke."""
    api = infra.session()
    known = infra.cluster(api, name)
    api.patch(f"/{'credentials' if revoke else 'certificates'}/{known['uuid']}", None)
    finish(
        Operation(api, known, f"rotate the CA of cluster {known['name']}", quiet=as_json), wait=wait, as_json=as_json
    )


def home(known: Json) -> pathlib.Path:
    """Return the folder of a cluster's certificates: told apart by its id, since names come again."""
    base = os.environ.get("XDG_DATA_HOME") or pathlib.Path.home() / ".local" / "share"
    name = re.sub(r"[^\w.-]", "-", f"{known['name']}-{known['uuid'][:8]}", flags=re.ASCII)
    return pathlib.Path(base) / "stackyard" / "clusters" / name


def forget(known: Json) -> None:
    """Remove the certificates of a cluster that is gone."""
    shutil.rmtree(home(known), ignore_errors=True)


def _address(known: Json) -> str:
    address = str(known.get("api_address") or "")
    if not address:
        raise errors.Conflict(
            f"cluster {known['name']} has no address yet ({known['status']}); "
            f"see 'stackyard cluster show {known['name']}' and try again when it is further"
        )
    if not address.startswith("tcp://"):
        raise errors.BadInput(f"{address} is no Docker endpoint; use 'openstack coe cluster config {known['name']}'")
    return address


def _prepared(folder: pathlib.Path, *, private: bool) -> pathlib.Path:
    """Return the folder, absolute, made where it is not there; our own is for this user alone."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if private:
            folder.chmod(0o700)
    except OSError as error:
        raise errors.BadInput(
            f"{folder} can't hold the certificates: {error.strerror}; choose another: --dir"
        ) from None
    return folder.absolute()


def _signed(api: Session, known: Json) -> tuple[str, str, str]:
    """Return the CA's certificate, ours, and our new private key, all PEM text."""
    key, request = _request()
    signed = api.post("/certificates", {"cluster_uuid": known["uuid"], "csr": request})
    authority = api.get(f"/certificates/{known['uuid']}")
    return str(authority["pem"]), str(signed["pem"]), key


def _request() -> tuple[str, str]:
    """Return a new private key and a request for its certificate; the platform names the subject."""
    from cryptography import x509  # noqa: PLC0415  (import time)
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stackyard")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return text.decode(), request.public_bytes(pem).decode()


def _write(folder: pathlib.Path, *texts: str) -> datetime.datetime:
    """Write ca.pem, cert.pem and key.pem, each whole or not at all; return when the certificate ends."""
    from cryptography import x509  # noqa: PLC0415  (import time)

    until = x509.load_pem_x509_certificate(texts[1].encode()).not_valid_after_utc
    try:
        for name, text in zip(FILES, texts, strict=True):
            with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as file:  # made with mode 0600
                file.write(text)
            pathlib.Path(file.name).replace(folder / name)
    except OSError as error:
        raise errors.BadInput(f"{folder} can't be written: {error.strerror}; choose another: --dir") from None
    return until


def _exports(address: str, folder: pathlib.Path) -> list[str]:
    values = {"DOCKER_HOST": address, "DOCKER_CERT_PATH": shlex.quote(str(folder)), "DOCKER_TLS_VERIFY": "1"}
    if "csh" in os.environ.get("SHELL", ""):
        return [f"setenv {name} {value}" for name, value in values.items()]
    return [f"export {name}={value}" for name, value in values.items()]


def _tell(name: str, until: datetime.datetime) -> None:
    if sys.stdout.isatty():
        click.echo(f'for your shell: eval "$(stackyard cluster config {name})"', err=True)
    left = until - datetime.datetime.now(datetime.UTC)
    hours = left.total_seconds() / 3600
    click.echo(f"the certificate is valid until {until:%Y-%m-%d %H:%M} UTC ({hours:.0f} h); then ask again", err=True)
