# SPDX-License-Identifier: Apache-2.0
"""The rules of intents, on a store in a file: what is refused is refused before anything is written."""

from __future__ import annotations

import concurrent.futures
from typing import Any

import pytest

from stackyard.intents.deployments import environment_of
from stackyard.intents.sources import source
from stackyard.model import errors
from stackyard.model.applications import AppSpec, Release, Service
from stackyard.model.phase import Phase, Trigger
from stackyard.model.records import utcnow
from stackyard.store import Page
from tests.unit.desk import ADMIN, ANN, OLI, Desk, cluster, count, usable

PUSH = source({"repository": "https://example.org/a.git"})


def released(desk: Desk, name: str = "shop", *services: str) -> str:
    """Return the id of an application whose release 1 is asked for."""
    app = desk.intents.applications.create(ANN, {"name": name})
    spec = AppSpec(tuple(Service(each, image=f"r/{each}") for each in services or ("web",)))
    with desk.store.transaction() as tx:
        tx.releases.insert(Release(project_id="demo", app_id=app.id, number=1, spec=spec))
        tx.deployments.change(environment_of(tx, app), Trigger.CHANGE, "release 1 asked for", release=1)
    return app.id


# --- clusters ----------------------------------------------------------------------------------


def test_a_cluster_is_written_whole(desk: Desk) -> None:
    made = cluster(
        desk, of={"flavor_id": "small", "labels": {"x.a": "1", "x.b": "2"}}, node_count=2, labels={"x.b": "3"}
    )
    assert (made.phase, made.generation, made.project_id, made.user_id) == (Phase.CREATING, 1, "demo", "ann")
    assert made.labels == {"x.b": "3"}
    assert made.attributes["flavor_id"] == "small"
    assert made.deadline
    assert 59 * 60 < (made.deadline - utcnow()).total_seconds() <= 60 * 60
    groups = sorted((group.name, group.role, group.node_count) for group in desk.intents.clusters.details(made)[0])
    assert groups == [("default-master", "master", 1), ("default-worker", "worker", 2)]
    with desk.store.reading() as tx:
        assert [event.kind for event in tx.events.of([made.id])] == ["created"]


def test_labels_are_merged_where_asked_for_and_taken_over_where_none_are_given(desk: Desk) -> None:
    of = {"labels": {"x.a": "1", "x.b": "2"}}
    assert cluster(desk, "x", of=of, labels={"x.b": "3"}, merge_labels=True).labels == {"x.a": "1", "x.b": "3"}
    assert cluster(desk, "y", of=of).labels == {"x.a": "1", "x.b": "2"}


@pytest.mark.parametrize("timeout", [0, 5, None])
def test_a_clusters_own_timeout(desk: Desk, timeout: int | None) -> None:
    made = cluster(desk, create_timeout=timeout)
    seconds = (made.deadline - utcnow()).total_seconds() if made.deadline else None
    assert seconds is None if timeout == 0 else seconds == pytest.approx((timeout or 60) * 60, abs=5)


@pytest.mark.parametrize(
    ("of", "wanted", "message"),
    [
        ({"coe": "kubernetes"}, {}, "no driver for kubernetes"),
        ({}, {"master_count": 2}, "odd"),
        ({}, {"master_count": 3}, "master_lb_enabled"),
    ],
)
def test_a_cluster_that_can_not_be(desk: Desk, of: dict[str, Any], wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.BadInput, match=message):
        cluster(desk, of=of, **wanted)
    assert count(desk, "clusters") == count(desk, "nodegroups") == 0


def test_the_last_place_of_a_quota_is_given_once(desk: Desk) -> None:
    def attempt(number: int) -> bool:
        try:
            cluster(desk, f"c{number}")
        except errors.QuotaExceeded:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 3
    assert count(desk, "clusters") == 3
    assert count(desk, "nodegroups") == 6
    cluster(desk, "theirs", OLI)


def test_two_of_one_name_need_their_ids(desk: Desk) -> None:
    first, _ = cluster(desk, "same"), cluster(desk, "same")
    with pytest.raises(errors.Conflict, match="several"):
        desk.intents.clusters.find(ANN, "same")
    assert desk.intents.clusters.find(ANN, first.id) == first


def test_admins_mean_their_own_first_then_anybodys(desk: Desk) -> None:
    theirs = cluster(desk, "same")
    assert desk.intents.clusters.find(ADMIN, "same").id == theirs.id
    own = cluster(desk, "same", ADMIN)
    assert desk.intents.clusters.find(ADMIN, "same").id == own.id
    with pytest.raises(errors.NotFound):
        desk.intents.clusters.find(OLI, theirs.id)


def test_a_cluster_with_applications_stays(desk: Desk) -> None:
    cluster(desk)
    desk.intents.applications.create(ANN, {"name": "shop"})
    with pytest.raises(errors.Conflict, match="shop"):
        desk.intents.clusters.delete(ANN, "one")
    assert desk.intents.clusters.find(ANN, "one").phase is Phase.CREATING


def test_resizing_stays_within_bounds(desk: Desk) -> None:
    made = cluster(desk)
    changed = desk.intents.clusters.resize(ANN, "one", 4)
    assert (changed.generation, changed.phase) == (2, Phase.CREATING)
    assert desk.intents.clusters.details(made)[0][1].node_count == 4
    with pytest.raises(errors.NotFound, match="nodegroup 'none'"):
        desk.intents.clusters.resize(ANN, "one", 3, "none")
    usable(desk, made)
    desk.intents.nodegroups.create(ANN, "one", {"name": "extra", "min_node_count": 1, "max_node_count": 2})
    for beyond in (0, 3):
        with pytest.raises(errors.BadInput, match="allowed range"):
            desk.intents.clusters.resize(ANN, "one", beyond, "extra")


@pytest.mark.parametrize("number", [0, 2, 4, 9])
def test_masters_stay_an_odd_few(desk: Desk, number: int) -> None:
    made = cluster(desk)
    for fit in (3, 7, 1):
        desk.intents.clusters.resize(ANN, "one", fit, "default-master")
        assert desk.intents.clusters.details(made)[0][0].node_count == fit
    with pytest.raises(errors.BadInput):
        desk.intents.clusters.resize(ANN, "one", number, "default-master")


# --- node groups -------------------------------------------------------------------------------


def test_a_group_comes_to_a_cluster_that_answers(desk: Desk) -> None:
    made = cluster(desk, of={"flavor_id": "small"})
    with pytest.raises(errors.Conflict, match="api_address"):
        desk.intents.nodegroups.create(ANN, "one", {"name": "extra"})
    usable(desk, made)
    changed, group = desk.intents.nodegroups.create(ANN, "one", {"name": "extra", "node_count": 2})
    assert (group.node_count, group.flavor_id, group.is_default, changed.generation) == (2, "small", False, 2)
    with pytest.raises(errors.Conflict, match="extra"):
        desk.intents.nodegroups.create(ANN, "one", {"name": "extra"})


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"node_count": 1, "min_node_count": 2}, errors.Conflict),
        ({"node_count": 3, "max_node_count": 2}, errors.Conflict),
        ({"min_node_count": 3, "max_node_count": 2}, errors.Conflict),
        ({"role": "master"}, errors.BadInput),
    ],
)
def test_a_group_whose_numbers_contradict(desk: Desk, values: dict[str, Any], error: type[Exception]) -> None:
    usable(desk, cluster(desk))
    with pytest.raises(error):
        desk.intents.nodegroups.create(ANN, "one", {"name": "extra", **values})
    assert count(desk, "nodegroups") == 2
    assert desk.intents.clusters.find(ANN, "one").generation == 1


def test_default_groups_stay_and_others_go_with_their_cluster_told(desk: Desk) -> None:
    usable(desk, cluster(desk))
    with pytest.raises(errors.BadInput, match="default"):
        desk.intents.nodegroups.delete(ANN, "one", "default-worker")
    desk.intents.nodegroups.create(ANN, "one", {"name": "extra"})
    desk.intents.nodegroups.delete(ANN, "one", "extra")
    found, group = desk.intents.nodegroups.find(ANN, "one", "extra")
    assert (group.phase, found.generation) == (Phase.DELETING, 3)
    with pytest.raises(errors.Conflict):
        desk.intents.nodegroups.update(ANN, "one", "extra", {"max_node_count": 5})


# --- templates ---------------------------------------------------------------------------------


def test_a_template_in_use_keeps_what_clusters_are_made_of(desk: Desk) -> None:
    template = desk.intents.templates.find(ANN, cluster(desk).template_id)
    with pytest.raises(errors.BadInput, match="referenced"):
        desk.intents.templates.update(ANN, template.id, {"image_id": "other"})
    with pytest.raises(errors.BadInput, match="referenced"):
        desk.intents.templates.delete(ANN, template.id)
    assert desk.intents.templates.update(ANN, template.id, {"name": "new"}).name == "new"


def test_fields_that_are_unset_have_their_default_again(desk: Desk) -> None:
    values = {
        "coe": "swarm-mode",
        "image_id": "node",
        "flavor_id": "small",
        "floating_ip_enabled": False,
        "http_proxy": "p",
    }
    template = desk.intents.templates.create(ANN, values)
    changed = desk.intents.templates.update(
        ANN, template.id, {"floating_ip_enabled": None, "flavor_id": None, "labels": None, "tags": "x"}
    )
    assert changed.attributes["floating_ip_enabled"] is True
    assert "flavor_id" not in changed.attributes
    assert (changed.attributes["http_proxy"], changed.attributes["tags"], changed.labels) == ("p", "x", {})


@pytest.mark.parametrize("driver", [{"network_driver": "magic"}, {"volume_driver": "magic"}])
def test_drivers_that_an_engine_does_not_know(desk: Desk, driver: dict[str, str]) -> None:
    with pytest.raises(errors.BadInput, match="magic"):
        desk.intents.templates.create(ANN, {"coe": "swarm-mode", "image_id": "node", **driver})


def test_public_templates_are_everybodys_unless_hidden(desk: Desk) -> None:
    shown = desk.intents.templates.create(ADMIN, {"coe": "swarm-mode", "image_id": "node", "name": "s", "public": True})
    hidden = desk.intents.templates.create(
        ADMIN, {"coe": "swarm-mode", "image_id": "node", "name": "h", "public": True, "hidden": True}
    )
    assert [each.id for each in desk.intents.templates.list(ANN, Page())] == [shown.id]
    assert desk.intents.clusters.create(ANN, {"cluster_template_id": "s"}).template_id == shown.id
    with pytest.raises(errors.NotFound):
        desk.intents.clusters.create(ANN, {"cluster_template_id": hidden.id})
    with pytest.raises(errors.NotFound):
        desk.intents.templates.find(ANN, hidden.id)
    assert desk.intents.clusters.create(ADMIN, {"cluster_template_id": hidden.id}).template_id == hidden.id


# --- applications ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a_b", "a.b", "a" * 64, "ü", "a\n"])
def test_a_name_that_is_no_dns_label(desk: Desk, name: str) -> None:
    cluster(desk)
    with pytest.raises(errors.BadInput, match="DNS label"):
        desk.intents.applications.create(ANN, {"name": name})


def test_an_application_needs_a_cluster_and_one_choice(desk: Desk) -> None:
    with pytest.raises(errors.Conflict, match="stackyard cluster create"):
        desk.intents.applications.create(ANN, {"name": "a"})
    theirs = cluster(desk, "theirs", OLI)
    with pytest.raises(errors.NotFound):
        desk.intents.applications.create(ANN, {"name": "a", "cluster": theirs.id})
    one, two = cluster(desk, "one"), cluster(desk, "two")
    with pytest.raises(errors.BadInput, match="one, two"):
        desk.intents.applications.create(ANN, {"name": "a"})
    made = desk.intents.applications.create(ANN, {"name": "a", "cluster": "two"})
    assert desk.intents.deployments.of(made).cluster_id == two.id
    desk.intents.clusters.delete(ANN, "one")
    with pytest.raises(errors.Conflict, match="deleting"):
        desk.intents.applications.create(ANN, {"name": "b", "cluster": one.id})
    assert desk.intents.deployments.of(desk.intents.applications.create(ANN, {"name": "b"})).cluster_id == two.id


def test_one_name_in_a_project_and_again_in_another(desk: Desk) -> None:
    cluster(desk)
    cluster(desk, "theirs", OLI)
    desk.intents.applications.create(ANN, {"name": "shop"})
    with pytest.raises(errors.Conflict, match="shop"):
        desk.intents.applications.create(ANN, {"name": "shop"})
    desk.intents.applications.create(OLI, {"name": "shop"})
    # The refused one has used nothing of the quota of three.
    for name in ("b", "c"):
        desk.intents.applications.create(ANN, {"name": name})
    with pytest.raises(errors.QuotaExceeded):
        desk.intents.applications.create(ANN, {"name": "d"})


def test_pushes_are_counted_from_one_even_at_once(desk: Desk) -> None:
    cluster(desk)
    app = desk.intents.applications.create(ANN, {"name": "shop"})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        builds = list(pool.map(lambda _: desk.intents.builds.push(ANN, "shop", PUSH), range(12)))
    assert sorted(build.number for build in builds) == list(range(1, 13))
    assert [build.number for build in desk.intents.builds.list(app)] == list(range(12, 0, -1))


def test_a_push_of_another_application_is_not_found_under_this_one(desk: Desk) -> None:
    cluster(desk)
    apps = [desk.intents.applications.create(ANN, {"name": name}) for name in ("one", "two")]
    build = desk.intents.builds.push(ANN, "one", PUSH)
    assert desk.intents.builds.find(apps[0], build.id) == desk.intents.builds.find(apps[0], "1")
    for ident in (build.id, "1", "2", "9" * 40):
        with pytest.raises(errors.NotFound):
            desk.intents.builds.find(apps[1], ident)


def test_scaling_knows_the_releases_services(desk: Desk) -> None:
    cluster(desk)
    desk.intents.applications.create(ANN, {"name": "empty"})
    with pytest.raises(errors.Conflict, match="push it first"):
        desk.intents.applications.scale(ANN, "empty", {"web": 1})
    released(desk, "shop", "web", "worker")
    with pytest.raises(errors.BadInput, match="web, worker"):
        desk.intents.applications.scale(ANN, "shop", {"web": 2, "db": 1})
    for wrong in (-1, 101):
        with pytest.raises(errors.BadInput, match="between"):
            desk.intents.applications.scale(ANN, "shop", {"web": wrong})
    desk.intents.applications.scale(ANN, "shop", {"web": 2})
    scaled = desk.intents.applications.scale(ANN, "shop", {"worker": 0})
    assert scaled.scale == {"web": 2, "worker": 0}
    # The release asked for stays asked for; its time begins anew.
    assert (scaled.release, scaled.generation) == (1, 4)
    assert scaled.deadline


def test_config_is_sealed_and_makes_a_release(desk: Desk) -> None:
    cluster(desk)
    app = released(desk)
    release = desk.intents.releases.configure(ANN, app, {"PASSWORD": "open-sesame", "B": "2"})
    assert release
    assert (release.number, release.spec.services[0].image) == (2, "r/web")
    assert "open-sesame" not in repr(release)
    assert desk.intents.releases.config(release.config) == {"PASSWORD": "open-sesame", "B": "2"}
    after = desk.intents.releases.configure(ANN, app, {"PASSWORD": None, "C": "3"})
    assert after
    assert desk.intents.releases.config(after.config) == {"B": "2", "C": "3"}
    assert after.summary == "config: set C, unset PASSWORD"
    found = desk.intents.applications.find(ANN, app)
    assert desk.intents.deployments.of(found).config == after.config
    events = " ".join(event.message for event in desk.intents.applications.events(found))
    assert "PASSWORD" in events
    assert "open-sesame" not in events


def test_config_moves_among_keys_without_being_read(desk: Desk) -> None:
    cluster(desk)
    app = released(desk)
    keys = {"NEXT": "a", "OLD": "b", "NOW": "c", "PLAIN": "p"}
    desk.intents.releases.configure(ANN, app, keys, ["NEXT", "OLD", "NOW"])
    copies = {"NOW": "NEXT", "OLD": "NOW", "MORE": "OLD", "PLAINER": "PLAIN"}
    release = desk.intents.releases.configure(ANN, app, {"NEXT": "d"}, ["NEXT"], copies=copies)
    assert release
    moved = {"NEXT": "d", "NOW": "a", "OLD": "c", "MORE": "b", "PLAIN": "p", "PLAINER": "p"}
    assert desk.intents.releases.config(release.config) == moved
    assert release.secret_keys == ("MORE", "NEXT", "NOW", "OLD")
    with pytest.raises(errors.BadInput, match="config has no GONE"):
        desk.intents.releases.configure(ANN, app, {}, copies={"NOW": "GONE"})


def test_a_rollback_is_a_new_release_of_old_content_and_config(desk: Desk) -> None:
    cluster(desk)
    app = released(desk)
    desk.intents.releases.configure(ANN, app, {"A": "1"})
    back = desk.intents.releases.deploy(ANN, "shop", "1")
    assert (back.number, back.config, back.summary) == (3, None, "rollback to release 1")
    deployment = desk.intents.deployments.of(desk.intents.applications.find(ANN, app))
    assert (deployment.release, deployment.config) == (3, None)
    for absent in ("9", "0", back.id[::-1]):
        with pytest.raises(errors.NotFound):
            desk.intents.releases.deploy(ANN, "shop", absent)


def test_destroying_asks_everything_to_go_and_lets_nothing_begin(desk: Desk) -> None:
    cluster(desk)
    app = released(desk)
    build = desk.intents.builds.push(ANN, app, PUSH)
    desk.intents.applications.destroy(ANN, app)
    desk.intents.applications.destroy(ANN, app)
    with desk.store.reading() as tx:
        found = (tx.applications.get(app), tx.builds.get(build.id), tx.deployments.of(app))
    assert [each.phase for each in found if each] == [Phase.DELETING] * 3
    for late in (
        lambda: desk.intents.builds.push(ANN, app, PUSH),
        lambda: desk.intents.applications.scale(ANN, app, {"web": 1}),
        lambda: desk.intents.applications.describe(ANN, app, "x"),
        lambda: desk.intents.releases.configure(ANN, app, {"A": "1"}),
        lambda: desk.intents.releases.deploy(ANN, app, "1"),
    ):
        with pytest.raises(errors.Conflict, match="being destroyed"):
            late()


def test_another_projects_application_is_not_there(desk: Desk) -> None:
    cluster(desk)
    app = released(desk)
    for attempt in (
        lambda: desk.intents.applications.find(OLI, app),
        lambda: desk.intents.applications.scale(OLI, app, {"web": 1}),
        lambda: desk.intents.applications.destroy(OLI, app),
        lambda: desk.intents.builds.push(OLI, app, PUSH),
        lambda: desk.intents.releases.configure(OLI, app, {"A": "1"}),
        lambda: desk.intents.releases.deploy(OLI, app, "1"),
    ):
        with pytest.raises(errors.NotFound):
            attempt()


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"repository": "", "digest": ""},
        {"repository": "https://example.org/a.git", "digest": "0" * 64},
        {"repository": "file:///etc"},
        {"repository": "ext::sh -c id"},
        {"repository": "/etc"},
        {"repository": "-oProxyCommand=id"},
        {"repository": "https://example.org/a.git", "revision": "--upload-pack=id"},
        {"digest": "short"},
        {"digest": "../" + "0" * 61},
    ],
)
def test_a_source_that_is_none(values: dict[str, str]) -> None:
    with pytest.raises(errors.BadInput):
        source(values)
