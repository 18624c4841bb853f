# SPDX-License-Identifier: Apache-2.0
"""Environments, promotion and secrets as intents: what each keeps to itself, and what is refused."""

from __future__ import annotations

import pathlib
import sqlite3

import pytest

from stackyard.model import errors
from stackyard.model.applications import PRODUCTION, Application, AppSpec, Release, Service
from stackyard.model.builds import Source
from stackyard.model.phase import Phase, Trigger
from tests.unit.desk import ANN, OLI, Desk, cluster, usable

DIGEST = "registry/demo/shop/web@sha256:" + "a" * 64


@pytest.fixture
def shop(desk: Desk) -> Application:
    """An application with environments staging and production, and nothing released."""
    cluster(desk)
    app = desk.intents.applications.create(ANN, {"name": "shop"})
    desk.intents.deployments.add(ANN, "shop", "staging")
    return app


def serve(desk: Desk, app: Application, environment: str, image: str = DIGEST) -> Release:
    """Let a push to an environment end with a release that serves."""
    with desk.store.transaction() as tx:
        deployment = tx.deployments.of(app.id, environment)
        assert deployment
        release = Release(
            project_id="demo",
            app_id=app.id,
            number=tx.releases.next_number(app.id),
            spec=AppSpec((Service("web", image=image, port=8000),)),
            environment=environment,
            config=deployment.config,
            secret_keys=deployment.secret_keys,
        )
        tx.releases.insert(release)
        tx.deployments.change(deployment, Trigger.CHANGE, "release asked for", release=release.number)
    observe(desk, app, environment, release.number)
    return release


def observe(desk: Desk, app: Application, environment: str, serving: int) -> None:
    """Let the worker have seen the release serve."""
    with desk.store.saving() as tx:
        table = tx.deployments.table
        where = (table.c.app_id == app.id, table.c.environment == environment)
        seen = {"serving": serving, "pins": {}, "switched_at": 0}
        tx.connection.execute(table.update().where(*where).values(observed=seen, phase=Phase.READY.value))


def test_production_is_made_with_the_application_and_has_nothing_to_run(desk: Desk) -> None:
    place = cluster(desk)
    app = desk.intents.applications.create(ANN, {"name": "shop"})
    found = desk.intents.deployments.list(app)
    assert [(each.environment, each.release, each.cluster_id, each.phase) for each in found] == [
        (PRODUCTION, 0, place.id, Phase.READY)
    ]


def test_production_is_last_however_late_others_came(desk: Desk, shop: Application) -> None:
    desk.intents.deployments.add(ANN, "shop", "qa")
    assert [each.environment for each in desk.intents.deployments.list(shop)] == ["staging", "qa", PRODUCTION]


def test_environments_share_no_name_on_a_cluster(desk: Desk, shop: Application) -> None:
    ids = {each.workload_id[:8] for each in desk.intents.deployments.list(shop)}
    assert len(ids) == 2
    assert desk.intents.deployments.of(shop).workload_id == shop.id


@pytest.mark.parametrize("name", ["", "Staging", "a_b", "-a", "a-", "a.b", "a--b", "xn", "x" * 59])
def test_a_name_that_makes_no_host_is_refused(desk: Desk, shop: Application, name: str) -> None:
    with pytest.raises(errors.BadInput):
        desk.intents.deployments.add(ANN, "shop", name)


def test_hosts_of_applications_and_environments_never_meet(desk: Desk, shop: Application) -> None:
    with pytest.raises(errors.BadInput, match="--"):
        desk.intents.applications.create(ANN, {"name": "staging--shop"})
    with desk.store.transaction() as tx:  # as one was made before there were environments
        tx.applications.insert(Application(project_id="demo", name="qa--shop"))
    with pytest.raises(errors.Conflict, match="qa--shop"):
        desk.intents.deployments.add(ANN, "shop", "qa")


def test_an_environment_is_there_once_and_in_ones_own_project(desk: Desk, shop: Application) -> None:
    for name in ("staging", PRODUCTION):
        with pytest.raises(errors.Conflict, match="already"):
            desk.intents.deployments.add(ANN, "shop", name)
    for attempt in (
        lambda: desk.intents.deployments.add(OLI, shop.id, "qa"),
        lambda: desk.intents.deployments.remove(OLI, shop.id, "staging"),
        lambda: desk.intents.releases.promote(OLI, shop.id, "staging", PRODUCTION),
        lambda: desk.intents.deployments.add(ANN, "shop", "qa", cluster(desk, "theirs", OLI).id),
    ):
        with pytest.raises(errors.NotFound):
            attempt()


def test_an_unknown_environment_names_those_that_there_are(desk: Desk, shop: Application) -> None:
    serve(desk, shop, PRODUCTION)
    for attempt in (
        lambda: desk.intents.deployments.of(shop, "qa"),
        lambda: desk.intents.deployments.remove(ANN, "shop", "qa"),
        lambda: desk.intents.applications.scale(ANN, "shop", {"web": 1}, "qa"),
        lambda: desk.intents.applications.events(shop, "qa"),
        lambda: desk.intents.releases.configure(ANN, "shop", {"A": "1"}, (), "qa"),
        lambda: desk.intents.releases.deploy(ANN, "shop", "1", "qa"),
        lambda: desk.intents.releases.promote(ANN, "shop", "qa", PRODUCTION),
        lambda: desk.intents.releases.list(shop, "qa"),
        lambda: desk.intents.builds.push(ANN, "shop", Source(digest="0" * 64), "qa"),
    ):
        with pytest.raises(errors.NotFound, match="staging, production"):
            attempt()


def test_config_and_scale_are_each_environments_own(desk: Desk, shop: Application) -> None:
    for environment in ("staging", PRODUCTION):
        serve(desk, shop, environment)
    desk.intents.releases.configure(ANN, "shop", {"A": "staging"}, (), "staging")
    desk.intents.applications.scale(ANN, "shop", {"web": 3}, "staging")
    staging, production = (desk.intents.deployments.of(shop, name) for name in ("staging", PRODUCTION))
    assert (desk.intents.releases.shown(staging), staging.scale) == ({"A": "staging"}, {"web": 3})
    assert (desk.intents.releases.shown(production), production.scale, production.release) == ({}, {}, 2)


def test_a_promotion_takes_the_images_and_leaves_the_config(desk: Desk, shop: Application) -> None:
    desk.intents.releases.configure(ANN, "shop", {"A": "production"})
    desk.intents.releases.configure(ANN, "shop", {"A": "staging", "KEY": "s3cret-of-staging"}, ["KEY"], "staging")
    tried = serve(desk, shop, "staging")
    made = desk.intents.releases.promote(ANN, "shop", None, PRODUCTION)
    assert (made.number, made.environment, made.spec) == (tried.number + 1, PRODUCTION, tried.spec)
    assert desk.intents.releases.config(made.config) == {"A": "production"}
    assert made.secret_keys == ()
    assert made.summary == f"promote release {tried.number} of staging"
    assert desk.intents.deployments.of(shop).release == made.number
    assert desk.intents.deployments.of(shop, "staging").release == tried.number


def test_a_release_of_another_environment_by_its_number_is_a_promotion_too(desk: Desk, shop: Application) -> None:
    desk.intents.releases.configure(ANN, "shop", {"A": "staging"}, (), "staging")
    tried = serve(desk, shop, "staging")
    made = desk.intents.releases.deploy(ANN, "shop", str(tried.number))
    assert (made.environment, made.config, made.spec) == (PRODUCTION, None, tried.spec)


def test_promotions_that_lead_nowhere(desk: Desk, shop: Application) -> None:
    with pytest.raises(errors.Conflict, match=r"nothing serves in staging yet.*push or promote to it first"):
        desk.intents.releases.promote(ANN, "shop", None, PRODUCTION)
    with pytest.raises(errors.BadInput, match="no environment before staging"):
        desk.intents.releases.promote(ANN, "shop", None, "staging")
    serve(desk, shop, "staging")
    with pytest.raises(errors.BadInput, match="itself"):
        desk.intents.releases.promote(ANN, "shop", "staging", "staging")


def test_pushes_of_environments_do_not_take_each_others_turn(desk: Desk, shop: Application) -> None:
    for environment in (PRODUCTION, "staging", PRODUCTION, "staging"):
        desk.intents.builds.push(ANN, "shop", Source(digest="0" * 64), environment)
    with desk.store.reading() as tx:
        assert tx.builds.newest_unfinished(shop.id, PRODUCTION) == 3
        assert tx.builds.newest_unfinished(shop.id, "staging") == 4


def test_removing_an_environment_leaves_the_others(desk: Desk, shop: Application) -> None:
    with pytest.raises(errors.Conflict, match="stackyard destroy shop"):
        desk.intents.deployments.remove(ANN, "shop", PRODUCTION)
    serve(desk, shop, "staging")
    desk.intents.deployments.remove(ANN, "shop", "staging")
    phases = {each.environment: each.phase for each in desk.intents.deployments.list(shop)}
    assert phases == {"staging": Phase.DELETING, PRODUCTION: Phase.READY}
    for late in (
        lambda: desk.intents.builds.push(ANN, "shop", Source(digest="0" * 64), "staging"),
        lambda: desk.intents.releases.configure(ANN, "shop", {"A": "1"}, (), "staging"),
        lambda: desk.intents.applications.scale(ANN, "shop", {"web": 2}, "staging"),
        lambda: desk.intents.deployments.add(ANN, "shop", "staging"),
    ):
        with pytest.raises(errors.Conflict, match="being removed"):
            late()


def test_destroying_takes_all_environments(desk: Desk, shop: Application) -> None:
    desk.intents.applications.destroy(ANN, "shop")
    assert {each.phase for each in desk.intents.deployments.list(shop)} == {Phase.DELETING}


def test_a_cluster_with_any_environment_on_it_stays(desk: Desk, shop: Application) -> None:
    other = usable(desk, cluster(desk, "two"))
    desk.intents.deployments.add(ANN, "shop", "qa", "two")
    with pytest.raises(errors.Conflict, match="qa--shop"):
        desk.intents.clusters.delete(ANN, other.id)


def test_a_secret_is_told_by_its_key_only_and_stays_one(desk: Desk, shop: Application) -> None:
    serve(desk, shop, PRODUCTION)
    made = desk.intents.releases.configure(ANN, "shop", {"KEY": "open-sesame", "A": "1"}, ["KEY"])
    assert made
    assert (made.summary, made.secret_keys) == ("config: set A, set KEY", ("KEY",))
    again = desk.intents.releases.configure(ANN, "shop", {"KEY": "other-sesame"})
    assert again
    of = desk.intents.deployments.of(shop)
    assert desk.intents.releases.shown(of) == {"KEY": None, "A": "1"}
    # What it was is masked still: containers of the release before go on for a while, and their lines are kept.
    assert desk.intents.releases.hidden(of) == ["open-sesame", "other-sesame"]
    desk.intents.releases.configure(ANN, "shop", {"KEY": None})
    of = desk.intents.deployments.of(shop)
    assert (desk.intents.releases.shown(of), of.secret_keys) == ({"A": "1"}, ())


def test_a_rollback_brings_secrets_back_as_secrets(desk: Desk, shop: Application) -> None:
    serve(desk, shop, PRODUCTION)
    desk.intents.releases.configure(ANN, "shop", {"KEY": "open-sesame"}, ["KEY"])
    desk.intents.releases.configure(ANN, "shop", {"KEY": None})
    desk.intents.releases.configure(ANN, "shop", {"KEY": "in the open"})
    desk.intents.releases.deploy(ANN, "shop", "2")
    assert desk.intents.releases.shown(desk.intents.deployments.of(shop)) == {"KEY": None}


def test_no_secret_is_in_the_database_in_clear(desk: Desk, shop: Application, tmp_path: pathlib.Path) -> None:
    serve(desk, shop, PRODUCTION)
    desk.intents.releases.configure(ANN, "shop", {"KEY": "open-sesame"}, ["KEY"])
    path = desk.store.url.removeprefix("sqlite:///")
    dump = "\n".join(sqlite3.connect(path).iterdump())
    assert "config: set KEY" in dump
    assert "open-sesame" not in dump
