# SPDX-License-Identifier: Apache-2.0
"""Which cloud the command line talks to, and a token for it, kept between commands.

Called by `session`. The slow way (clouds.yaml and Keystone through OpenStack's own libraries, about a second of
imports) is taken only when no usable ticket is kept; it knows nothing of the platform's APIs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import pathlib
import tempfile
from typing import Any

from stackyard.model import errors

OWN_CLOUD = "stackyard"
SERVICE_TYPES = ("application_deployment", "container-infra")
SPARE_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Ticket:
    """A token with what was learnt together with it: endpoints by service type, and how to check TLS.

    `verify` is True, False or the path of a CA bundle; `source` is the clouds.yaml read, with its modification time.
    """

    token: str = dataclasses.field(repr=False)
    expires_at: str
    endpoints: dict[str, str]
    verify: bool | str = True
    source: tuple[str, int] | None = None

    def is_usable(self) -> bool:
        """Tell whether the token has time left and was got with the clouds.yaml as it is now."""
        left = datetime.datetime.fromisoformat(self.expires_at) - datetime.datetime.now(datetime.UTC)
        return left.total_seconds() > SPARE_SECONDS and (self.source is None or _stamp(self.source[0]) == self.source)


def state_dir() -> pathlib.Path:
    """Return the platform's state folder, as `stackyard.conf` says, without its libraries' import time."""
    explicit = os.environ.get("STACKYARD_STATE_DIR")
    base = os.environ.get("XDG_STATE_HOME") or pathlib.Path.home() / ".local" / "state"
    return pathlib.Path(explicit) if explicit else pathlib.Path(base) / "stackyard"


def ticket(*, fresh: bool = False) -> Ticket:
    """Return a ticket for the cloud that the environment names; `fresh` asks Keystone in any case.

    Raises BadInput when there is no such cloud, Unavailable when nothing answers, Unauthenticated when refused.
    """
    kept = None if fresh else _kept()
    if kept is None:
        kept = _ask_keystone()
        _keep(kept)
    return kept


# --- tickets kept between commands -------------------------------------------------------------


def _kept_path() -> pathlib.Path:
    """Return a file name that differs with everything that decides about the cloud, passwords excepted."""
    chosen = {k: v for k, v in os.environ.items() if k.startswith("OS_") and "PASSWORD" not in k and "SECRET" not in k}
    key = hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:16]
    state = state_dir()
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "stackyard"
    return (state / "tokens" if state.is_dir() else cache) / f"{key}.json"


def _kept() -> Ticket | None:
    try:
        raw: dict[str, Any] = json.loads(_kept_path().read_text())
        raw["source"] = tuple(raw["source"]) if raw["source"] else None
        kept = Ticket(**raw)
        return kept if kept.is_usable() else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _keep(kept: Ticket) -> None:
    """Write the ticket with mode 0600, whole or not at all; a folder that can't be written only costs time."""
    path = _kept_path()
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump(dataclasses.asdict(kept), file)
        pathlib.Path(file.name).replace(path)


def _stamp(path: str) -> tuple[str, int]:
    try:
        return path, pathlib.Path(path).stat().st_mtime_ns
    except OSError:
        return path, 0


# --- Keystone, through OpenStack's own libraries -----------------------------------------------


def _ask_keystone() -> Ticket:
    from keystoneauth1 import exceptions  # noqa: PLC0415  (import time)

    region = _region()
    auth_url = str(region.get_auth_args().get("auth_url", "Keystone"))
    try:
        return _ticket(region)
    except exceptions.ConnectFailure:
        raise unreachable(auth_url) from None
    except exceptions.Unauthorized as error:
        raise errors.Unauthenticated(
            f"{auth_url} refuses the login of cloud {region.name!r}: {error.message}"
        ) from None
    except (exceptions.ClientException, OSError) as error:
        raise errors.Unavailable(f"no token from {auth_url}: {error}") from None


def _ticket(region: Any) -> Ticket:
    session = region.get_session()
    access = session.auth.get_access(session)
    interface = region.config.get("interface") or "public"
    found = {
        kind: session.get_endpoint(service_type=kind, interface=interface, region_name=region.region_name or None)
        for kind in SERVICE_TYPES
    }
    return Ticket(
        token=access.auth_token,
        expires_at=access.expires.isoformat(),
        endpoints={kind: url for kind, url in found.items() if url},
        verify=session.verify,
        source=_stamp(region.config["source"]) if region.config.get("source") else None,
    )


def _region() -> Any:
    """Return the cloud of the environment; with none named, the one-machine platform's own."""
    import openstack.config  # noqa: PLC0415  (import time)
    import openstack.exceptions  # noqa: PLC0415

    own = state_dir() / "clouds.yaml"
    named = os.environ.get("OS_CLOUD")
    try:
        if named or os.environ.get("OS_AUTH_URL") or os.environ.get("OS_CLIENT_CONFIG_FILE"):
            loader = openstack.config.OpenStackConfig()
            if not named or named in loader.get_cloud_names() or not own.exists():
                return _with_source(loader.get_one(cloud=named), loader.config_filename)
        return _with_source(_own(own).get_one(cloud=named or OWN_CLOUD), str(own))
    except openstack.exceptions.ConfigException as error:
        raise errors.BadInput(f"cloud {named or OWN_CLOUD!r} can't be used: {error}") from None


def _own(path: pathlib.Path) -> Any:
    import openstack.config  # noqa: PLC0415

    if not path.exists():
        raise errors.Unavailable(
            "no platform and no cloud known; run 'stackyard up', or set OS_CLOUD to one of clouds.yaml"
        )
    return openstack.config.OpenStackConfig(config_files=[str(path)], load_envvars=False)


def _with_source(region: Any, path: str | None) -> Any:
    region.config["source"] = str(pathlib.Path(path).absolute()) if path else None
    return region


def unreachable(url: str) -> errors.Unavailable:
    """Return the error for a platform that does not answer, with the cure where it is ours to start."""
    local = any(f"//{host}" in url for host in ("127.", "localhost", "[::1]"))
    cure = "; start it with 'stackyard up'" if local else "; look at the address and the network"
    return errors.Unavailable(f"the platform does not answer at {url}{cure}")
