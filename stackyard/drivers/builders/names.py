# SPDX-License-Identifier: Apache-2.0
"""The names that a service of a Compose file asks for: `x-stackyard: {domains: [www.example.org]}`.

Called by `compose`; raises only BadInput. Whether a name may be had is judged when the release is made.
"""

from __future__ import annotations

from typing import Any

import idna

from stackyard.model import errors

MAX = 100


def domains(asked: Any, service: str, *, listens: bool) -> tuple[str, ...]:
    """Return the names in small letters, each once; raises for anything but a list of names."""
    where = f"x-stackyard.domains of service {service!r}"
    if asked is None:
        return ()
    if not isinstance(asked, list) or not all(isinstance(name, str) and name.strip() for name in asked):
        raise errors.BadInput(f"{where} must be a list of host names; write for example [www.example.org]")
    if len(asked) > MAX:
        raise errors.BadInput(f"{where} has {len(asked)} names; {MAX} is the limit")
    if asked and not listens:
        raise errors.BadInput(f"{where} can't be served: the service publishes no port; give it 'ports'")
    for name in asked:
        if "*" in name:
            raise errors.BadInput(f"{where} has {name[:63]!r}: wildcards are not served; write each name")
    return tuple(dict.fromkeys(_ascii(name.strip().rstrip(".").lower(), where) for name in asked))


def _ascii(name: str, where: str) -> str:
    """Return a name as DNS has it (IDNA)."""
    try:
        return idna.encode(name, uts46=True, std3_rules=True).decode()
    except (idna.IDNAError, UnicodeError) as error:
        raise errors.BadInput(f"{where}: {name[:63]!r} is no host name: {error}") from None
