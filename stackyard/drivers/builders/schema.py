# SPDX-License-Identifier: Apache-2.0
"""The part of the Compose Specification that applications may use, as a JSON schema, and its complaints in words.

Called by `compose`. `expects` beside a type is what an error says should be there.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator
from typing import Any, cast

import jsonschema

from stackyard.model import errors

MAX_SERVICES = 50
MAX_REPLICAS = 100
_MAX_COMPLAINTS = 5
_NOUNS = ("services", "volumes", "networks", "configs", "secrets")

Schema = dict[str, Any]


def _object(properties: Schema, what: str, unsupported: str = "", **more: Any) -> Schema:
    return {
        "type": ["object", "null"],
        "properties": properties,
        "patternProperties": {"^x-": {}},
        "additionalProperties": False,
        "expects": "a mapping",
        "what": what,
        "unsupported": frozenset(unsupported.split()),
        **more,
    }


def _one_of(expects: str, *types: str, **more: Any) -> Schema:
    return {"type": list(types), "expects": expects, **more}


_STRING = _one_of("a string", "string")
_OPTIONAL_STRING = _one_of("a string", "string", "null")
_BOOL = _one_of("true or false", "boolean")
_PORT = _one_of("a port such as 8000", "string", "integer")
_WORDS = _one_of("a string or a list of strings", "string", "array", "null", items=_STRING)
_PAIRS = _one_of(
    "a mapping or a list of KEY=VALUE strings",
    *("object", "array", "null"),
    items=_STRING,
    additionalProperties=_one_of("a string, number or boolean", "string", "number", "boolean", "null"),
)
_SIZE = _one_of("a size such as 512m", "string", "integer")
_CPUS = _one_of('a number of cores such as "0.5"', "string", "number")
_NUMBER = _one_of("a number", "string", "integer")
_COUNT = _one_of(f"a number from 0 to {MAX_REPLICAS}", "integer", minimum=0, maximum=MAX_REPLICAS)

BUILD = _object(
    {"context": _STRING, "dockerfile": _STRING, "args": _PAIRS, "target": _STRING},
    "build",
    "additional_contexts cache_from cache_to dockerfile_inline entitlements extra_hosts isolation labels "
    "network no_cache platforms privileged provenance pull sbom secrets shm_size ssh tags ulimits",
    type=["object", "string"],
    expects="a folder, or a mapping with context, dockerfile, args and target",
)
HEALTHCHECK = _object(
    {
        "test": _one_of("a command: a string or a list of strings", "string", "array", items=_STRING),
        "interval": _one_of("a duration such as 10s", "string"),
        "timeout": _one_of("a duration such as 10s", "string"),
        "start_period": _one_of("a duration such as 10s", "string"),
        "retries": _one_of("a number from 1 to 1000", "integer", minimum=1, maximum=1000),
        "disable": _BOOL,
    },
    "healthcheck",
    "start_interval",
    type="object",
)
PORT = _object(
    {
        "target": _PORT,
        "published": _PORT,
        "protocol": _STRING,
        "mode": _STRING,
        "name": _STRING,
        "host_ip": _STRING,
        "app_protocol": _STRING,
    },
    "ports",
    type=["object", "string", "integer"],
    required=["target"],
    expects='a port such as "8000" or "8080:8000", or a mapping with target',
)
VOLUME = _object(
    {"type": _STRING, "source": _STRING, "target": _STRING, "read_only": _BOOL},
    "volumes",
    "bind consistency image tmpfs volume",
    type=["object", "string"],
    expects='a named volume such as "data:/data", or a mapping with source and target',
)
LIMITS = _object({"cpus": _CPUS, "memory": _SIZE}, "deploy.resources.limits", "pids devices")
DEPLOY = _object(
    {
        "replicas": _COUNT,
        "mode": _STRING,
        "labels": _PAIRS,
        "resources": _object({"limits": LIMITS}, "deploy.resources", "reservations"),
    },
    "deploy",
    "endpoint_mode placement restart_policy rollback_config update_config",
)
EXTENSION = _object(
    {"stage": {}, "again": {}, "cron": {}, "domains": {}, "health": {}, "buildpacks": {}, "group": {}, "backup": {}},
    "x-stackyard",
)
FILE = _object(
    {"source": _STRING, "target": _STRING, "uid": _NUMBER, "gid": _NUMBER, "mode": _NUMBER},
    "configs",
    type=["object", "string"],
    required=["source"],
    expects="the name of a config or secret, or a mapping with source and target",
)
NAMED_FILE = _object(
    {
        "file": _STRING,
        "content": _STRING,
        "environment": _STRING,
        "name": _OPTIONAL_STRING,
        "x-stackyard": _object({"ini": _BOOL, "interpolate": _BOOL, "options": _STRING}, "x-stackyard"),
    },
    "config",
    "driver driver_opts external labels template_driver",
    type="object",
    expects="a mapping with file, content or environment",
)
NAMED_SECRET = _object(
    {"file": _STRING, "environment": _STRING, "name": _OPTIONAL_STRING},
    "secret",
    "driver driver_opts external labels template_driver content",
    type="object",
    expects="a mapping with file or environment",
)
DEPENDENCY = _object({"condition": _STRING, "restart": _BOOL, "required": _BOOL}, "depends_on")
SERVICE = _object(
    {
        "image": _STRING,
        "build": BUILD,
        "command": _WORDS,
        "entrypoint": _WORDS,
        "environment": _PAIRS,
        "env_file": _one_of("a file or a list of files", "string", "array", items=_STRING),
        "ports": _one_of("a list of ports", "array", "null", items=PORT),
        "expose": _one_of("a list of ports", "array", "null", items=_PORT),
        "volumes": _one_of("a list of named volumes", "array", "null", items=VOLUME),
        "configs": _one_of("a list of configs", "array", "null", items=FILE),
        "secrets": _one_of("a list of secrets", "array", "null", items=FILE),
        "depends_on": _one_of(
            "a list of services, or a mapping with conditions",
            *("array", "object", "null"),
            items=_STRING,
            additionalProperties=DEPENDENCY,
        ),
        "healthcheck": HEALTHCHECK,
        "deploy": DEPLOY,
        "scale": _COUNT,
        "cpus": _CPUS,
        "mem_limit": _SIZE,
        "restart": _STRING,
        "stop_grace_period": _one_of("a duration such as 10s", "string"),
        "working_dir": _STRING,
        "user": _one_of("a user name or number", "string", "integer"),
        "init": _BOOL,
        "labels": _PAIRS,
        "x-stackyard": EXTENSION,
        "networks": _one_of(
            "a list or mapping with the network default only",
            *("array", "object", "null"),
            items=_STRING,
            additionalProperties=_one_of("a mapping", "object", "null"),
        ),
    },
    "service",
    "annotations attach blkio_config cap_add cap_drop cgroup cgroup_parent container_name "
    "cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpuset "
    "credential_spec develop device_cgroup_rules devices dns dns_opt dns_search domainname external_links "
    "extends extra_hosts gpus group_add hostname ipc isolation label_file links logging mac_address "
    "mem_reservation mem_swappiness memswap_limit models network_mode oom_kill_disable oom_score_adj pid "
    "pids_limit platform post_start pre_stop privileged profiles provider pull_policy read_only runtime "
    "security_opt shm_size stdin_open stop_signal storage_opt sysctls tmpfs tty ulimits "
    "use_api_socket userns_mode uts volumes_from",
    type="object",
)
NAMED_VOLUME = _object(
    {"name": _OPTIONAL_STRING, "driver": _STRING, "labels": _PAIRS}, "volume", "driver_opts external"
)
NETWORK = _object(
    {"name": _OPTIONAL_STRING, "driver": _STRING, "labels": _PAIRS},
    "network",
    "attachable driver_opts enable_ipv4 enable_ipv6 external internal ipam",
)
COMPOSE = _object(
    {
        "name": _STRING,
        "version": _one_of("a string", "string", "number"),
        "services": {
            "type": "object",
            "additionalProperties": SERVICE,
            "minProperties": 1,
            "maxProperties": MAX_SERVICES,
            "expects": f"a mapping with 1 to {MAX_SERVICES} services",
        },
        "volumes": _one_of("a mapping of volumes", "object", "null", additionalProperties=NAMED_VOLUME),
        "networks": _one_of("a mapping with the network default only", "object", "null", additionalProperties=NETWORK),
        "configs": _one_of("a mapping of configs", "object", "null", additionalProperties=NAMED_FILE),
        "secrets": _one_of("a mapping of secrets", "object", "null", additionalProperties=NAMED_SECRET),
    },
    "file",
    "include models",
    type="object",
    required=["services"],
    expects="a mapping with services",
)


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(COMPOSE)


def check(document: Any) -> None:
    """Accept a document of the supported form; raises BadInput with up to five complaints, one a line."""
    found = sorted(_validator().iter_errors(document), key=lambda error: [str(part) for part in error.absolute_path])
    complaints = [line for error in found for line in _complaints(error)]
    if complaints:
        rest = len(complaints) - _MAX_COMPLAINTS
        more = [f"and {rest} more"] if rest > 0 else []
        raise errors.BadInput("\n".join(complaints[:_MAX_COMPLAINTS] + more))


def place(path: list[Any]) -> str:
    """Return where something is, in words: `ports[0] of service 'web'`."""
    if len(path) >= 2 and path[0] in _NOUNS:
        kind = path[0].removesuffix("s")
        inner = _dotted(path[2:])
        return f"{inner} of {kind} {path[1]!r}" if inner else f"{kind} {path[1]!r}"
    return _dotted(path) or "the file"


def _dotted(path: list[Any]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _complaints(error: jsonschema.ValidationError) -> Iterator[str]:
    where = place(list(error.absolute_path))
    rule = cast(Schema, error.schema)
    asked: Any = error.instance
    if error.validator == "additionalProperties":
        yield from (_key(str(key), rule, where) for key in asked if not _allowed(key, rule))
    elif error.validator == "required":
        yield f"{where} lacks {', '.join(key for key in rule['required'] if key not in asked)}"
    else:
        yield f"{where} must be {rule.get('expects', error.message)}, not {_shown(asked)}"


def _allowed(key: str, schema: Schema) -> bool:
    return key in schema["properties"] or key.startswith("x-")


def _key(key: str, schema: Schema, where: str) -> str:
    place = "" if where == "the file" else f" in {where}"
    if key in schema["unsupported"]:
        return f"unsupported option {key!r}{place}; remove it (name it x-{key} to keep it without effect)"
    near = difflib.get_close_matches(key, [*schema["properties"], *schema["unsupported"]], n=1)
    return f"unknown key {key!r}{place}" + (f" (did you mean {near[0]!r}?)" if near else "")


def _shown(value: object) -> str:
    kinds = {dict: "a mapping", list: "a list", bool: "a boolean", type(None): "nothing"}
    return kinds.get(type(value)) or repr(str(value))[:80]
