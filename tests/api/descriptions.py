# SPDX-License-Identifier: Apache-2.0
"""The description of the container-infra API, without a world that serves it."""

from __future__ import annotations

import json
from typing import Any

from oslo_config import cfg

from stackyard import conf as options
from stackyard.api import openapi
from stackyard.api.container_infra.routes import FAMILY


def described(*switches: str) -> dict[str, Any]:
    """Return the description as JSON has it, with these options of `[api]` switched on."""
    conf = cfg.ConfigOpts()
    options.register_opts(conf)
    conf([], project="stackyard", default_config_files=[])
    for name in switches:
        conf.set_override(name, True, "api")
    document = openapi.document(FAMILY, FAMILY.served(conf), "http://localhost" + FAMILY.prefix)
    return json.loads(json.dumps(document))  # type: ignore[no-any-return]
