# SPDX-License-Identifier: Apache-2.0
"""The table of the application-deployment API: which request goes where, who may send it, how faults are told."""

from __future__ import annotations

from stackyard.api.application_deployment import (
    apps,
    backups,
    domains,
    environments,
    files,
    git,
    groups,
    jobs,
    language_packs,
    logs,
    previews,
    processes,
    releases,
    schemas,
    sources,
    trusts,
    views,
    workflows,
)
from stackyard.api.call import Body, Call, Family, Reply, Route
from stackyard.api.faults import Fault
from stackyard.api.policy import ADMIN, MEMBER, OWN_MEMBER, READER, Rule

PREFIX = "/application-deployment"
JSON = Body.JSON

RULES: tuple[Rule, ...] = (
    ("create_source", MEMBER),
    ("get_apps", READER),
    ("show_app", READER),
    ("create_app", MEMBER),
    ("update_app", MEMBER),
    ("delete_app", MEMBER),
    ("scale_app", MEMBER),
    ("show_app_config", OWN_MEMBER),
    ("update_app_config", OWN_MEMBER),
    ("show_app_logs", READER),
    ("get_workflows", READER),
    ("show_workflow", READER),
    ("create_workflow", MEMBER),
    ("get_releases", READER),
    ("get_domains", READER),
    ("update_domains", MEMBER),
    ("update_maintenance", MEMBER),
    ("recover_group", MEMBER),
    ("get_backups", READER),
    ("create_backup", MEMBER),
    ("verify_backup", MEMBER),
    ("restore_backup", MEMBER),
    ("delete_backup", MEMBER),
    ("get_jobs", READER),
    ("create_job", OWN_MEMBER),
    ("stop_job", MEMBER),
    ("exec_app", OWN_MEMBER),
    ("trust_app", ADMIN),
    ("get_languagepacks", READER),
    ("show_languagepack", READER),
)

REASONS = {401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable"}


def root(call: Call) -> Reply:
    """Tell the versions of this API."""
    link = {"href": f"{call.url}/v1", "target_name": "v1"}
    return Reply(data=[{"id": "v1.0", "status": "CURRENT", "link": link}])


def platform(call: Call) -> Reply:
    """Tell what the platform offers."""
    return Reply(data=views.platform(call))


def fault(what: Fault) -> Reply:
    """Write a fault as Solum does."""
    code = "Server" if what.status >= 500 else "Client"
    message = what.message or REASONS.get(what.status, "Bad Request")
    return Reply(what.status, {"faultcode": code, "faultstring": message, "debuginfo": None})


APPS, APP = "/v1/apps", "/v1/apps/{app}"
WORKFLOWS, WORKFLOW = f"{APP}/workflows", f"{APP}/workflows/{{workflow}}"
CONFIG = f"{APP}/config"
FILES, FILE = f"{APP}/files", f"{APP}/files/{{config}}"
ENVIRONMENTS, ENVIRONMENT = f"{APP}/environments", f"{APP}/environments/{{environment}}"
DOMAINS, DOMAIN = f"{APP}/domains", f"{APP}/domains/{{host}}"
MAINTENANCE = f"{APP}/maintenance"
GROUPS = f"{APP}/groups"
TRUST = f"{APP}/trust"
JOBS, JOB = f"{APP}/jobs", f"{APP}/jobs/{{job}}"
BACKUPS, BACKUP = f"{APP}/backups", f"{APP}/backups/{{backup}}"
GITS = (f"{APP}/git", f"{ENVIRONMENT}/git", f"{ENVIRONMENT}/branches/{{branch}}/git")
PACK = "/v1/language_packs"
_APP = apps.find


def _git(where: str) -> tuple[Route, ...]:
    """Return the routes of a git repository."""
    return (
        Route("GET", f"{where}/info/refs", git.refs, "show_app", _APP, query=git.QUERY, fault=git.fault),
        Route(
            "POST", f"{where}/git-receive-pack", git.receive, "create_workflow", _APP, body=Body.RAW, fault=git.fault
        ),
        Route("POST", f"{where}/git-upload-pack", git.upload, "show_app", _APP, body=Body.RAW, fault=git.fault),
    )


ROUTES: tuple[Route, ...] = (
    Route("GET", "", root, None),
    Route("GET", "/v1", platform, None),
    Route("POST", "/v1/sources", sources.upload, "create_source", body=Body.RAW),
    Route("POST", "/v1/sources/{digest}/plan", sources.plan, "create_source"),
    Route("GET", APPS, apps.index, "get_apps", query=frozenset({"all_projects"})),
    Route("POST", APPS, apps.create, "create_app", None, schemas.APP, JSON),
    Route("GET", APP, apps.show, "show_app", _APP, query=environments.QUERY),
    Route("PATCH", APP, apps.update, "update_app", _APP, schemas.APP_CHANGES, JSON),
    Route("DELETE", APP, apps.delete, "delete_app", _APP),
    Route("PUT", f"{APP}/scale", apps.scale, "scale_app", _APP, schemas.SCALE, JSON, query=environments.QUERY),
    Route("GET", CONFIG, apps.config, "show_app_config", _APP, query=environments.QUERY),
    Route("PATCH", CONFIG, apps.configure, "update_app_config", _APP, schemas.CONFIG, JSON, query=environments.QUERY),
    Route("GET", FILES, files.index, "show_app_config", _APP, query=environments.QUERY),
    Route("GET", FILE, files.show, "show_app_config", _APP, query=files.QUERY),
    Route("PUT", FILE, files.put, "update_app_config", _APP, schemas.FILE, JSON, query=files.QUERY),
    Route("DELETE", FILE, files.delete, "update_app_config", _APP, query=files.QUERY),
    Route("POST", f"{FILE}/diff", files.diff, "update_app_config", _APP, schemas.FILE_DIFF, JSON, query=files.QUERY),
    Route(
        "POST",
        f"{APP}/preview",
        previews.show,
        "update_app_config",
        _APP,
        schemas.PREVIEW,
        JSON,
        query=environments.QUERY,
    ),
    Route("GET", ENVIRONMENTS, environments.index, "show_app", _APP),
    Route("POST", ENVIRONMENTS, environments.create, "update_app", _APP, schemas.NEW_ENVIRONMENT, JSON),
    Route("GET", ENVIRONMENT, environments.show, "show_app", _APP),
    Route("DELETE", ENVIRONMENT, environments.delete, "update_app", _APP),
    Route("GET", DOMAINS, domains.index, "get_domains", _APP),
    Route("PUT", DOMAIN, domains.put, "update_domains", _APP, schemas.DOMAIN, JSON),
    Route("DELETE", DOMAIN, domains.delete, "update_domains", _APP),
    Route("GET", MAINTENANCE, domains.maintenance, "get_domains", _APP, query=environments.QUERY),
    Route(
        "PUT",
        MAINTENANCE,
        domains.maintain,
        "update_maintenance",
        _APP,
        schemas.MAINTENANCE,
        JSON,
        query=environments.QUERY,
    ),
    Route("GET", GROUPS, groups.index, "show_app", _APP, query=environments.QUERY),
    Route(
        "PUT",
        f"{GROUPS}/{{group}}/recovery",
        groups.recover,
        "recover_group",
        _APP,
        schemas.RECOVERY,
        JSON,
        query=environments.QUERY,
    ),
    Route("GET", TRUST, trusts.show, "trust_app", _APP),
    Route("PUT", TRUST, trusts.put, "trust_app", _APP, schemas.TRUST, JSON),
    Route("DELETE", TRUST, trusts.delete, "trust_app", _APP),
    Route("GET", f"{APP}/events", apps.events, "show_app", _APP, query=apps.EVENTS_QUERY),
    Route("GET", f"{APP}/processes", processes.index, "show_app", _APP, query=processes.QUERY),
    Route("GET", f"{APP}/traffic", processes.traffic, "show_app", _APP, query=environments.QUERY),
    Route("GET", f"{APP}/logs", logs.lines, "show_app_logs", _APP, query=logs.QUERY),
    Route("GET", f"{APP}/releases", releases.index, "get_releases", _APP, query=environments.QUERY),
    Route("GET", JOBS, jobs.index, "get_jobs", _APP, query=environments.QUERY),
    Route("POST", JOBS, jobs.create, "create_job", _APP, schemas.JOB, JSON, query=environments.QUERY),
    Route("POST", f"{APP}/checks", jobs.check, "create_job", _APP, query=environments.QUERY),
    Route("GET", JOB, jobs.show, "get_jobs", _APP),
    Route("DELETE", JOB, jobs.stop, "stop_job", _APP),
    Route("GET", f"{JOB}/attach", jobs.attach, "create_job", _APP),
    Route("GET", f"{APP}/exec", jobs.execute, "exec_app", _APP, query=jobs.EXEC_QUERY),
    Route("GET", BACKUPS, backups.index, "get_backups", _APP, query=environments.QUERY),
    Route("POST", BACKUPS, backups.create, "create_backup", _APP, schemas.BACKUP, JSON, query=environments.QUERY),
    Route("GET", BACKUP, backups.show, "get_backups", _APP),
    Route("POST", f"{BACKUP}/verify", backups.verify, "verify_backup", _APP),
    Route("POST", f"{BACKUP}/restore", backups.restore, "restore_backup", _APP),
    Route("DELETE", BACKUP, backups.delete, "delete_backup", _APP),
    Route("GET", WORKFLOWS, workflows.index, "get_workflows", _APP),
    Route("POST", WORKFLOWS, workflows.create, "create_workflow", _APP, schemas.WORKFLOW, JSON),
    Route("GET", WORKFLOW, workflows.show, "show_workflow", _APP),
    Route("GET", f"{WORKFLOW}/output", logs.output, "show_workflow", _APP, query=logs.OUTPUT_QUERY),
    *(route for where in GITS for route in _git(where)),
    Route("GET", PACK, language_packs.index, "get_languagepacks"),
    Route("GET", f"{PACK}/{{pack}}", language_packs.show, "show_languagepack"),
)

FAMILY = Family("application-deployment", PREFIX, ROUTES, fault)
