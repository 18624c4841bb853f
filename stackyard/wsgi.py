# SPDX-License-Identifier: Apache-2.0
"""The composition root of the API: `gunicorn stackyard.wsgi:application`."""

from __future__ import annotations

import gc

from stackyard import assembly, conf
from stackyard.api import http, pipeline, services
from stackyard.intents import Intents
from stackyard.intents.rules import Rules


def _calm_collector() -> None:
    """Let the garbage collector leave alone what stays anyway, and look less often.

    A list of a thousand objects would make it look at everything again and again: two fifths of the list's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def build() -> pipeline.WSGI:
    """Build store, drivers, intents and the application from the options file named in the environment."""
    options = conf.load(assembly.config_file())
    parts = assembly.assemble(options)
    rules = Rules.read(options)
    return http.create_app(
        services.Services(
            conf=options,
            store=parts.store,
            intents=Intents.of(parts.store, parts.secrets, rules),
            secrets=parts.secrets,
            certificates=parts.authorities.certificates,
            authorities=parts.authorities,
            workloads=parts.workloads,
            jobs=parts.jobs,
            logs=parts.logs,
            sources=parts.sources,
            repositories=parts.repositories,
            plan=lambda folder: parts.builder.plan(folder).as_dict(),
            detect=parts.builder.detect,
            newest=parts.builder.newest,
            reach=parts.authorities.reach,
            told=parts.router.told,
            traffic=parts.router.traffic,
        )
    )


application = build()
_calm_collector()
