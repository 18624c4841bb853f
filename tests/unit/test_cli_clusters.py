# SPDX-License-Identifier: Apache-2.0
"""`stackyard cluster …` against the small platform that speaks real HTTP on loopback."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import re
import signal
import ssl
import stat
import subprocess
import sys

import pytest
from cli_platform import Platform, Run
from cryptography import x509

from stackyard.cli import certificates, pictures

MAIN = [sys.executable, "-m", "stackyard.cli.main"]


@pytest.fixture
def demo(run: Run) -> str:
    assert run("cluster", "create", "demo", "--nodes", "2")[0] == 0
    return "demo"


def only(platform: Platform) -> dict[str, object]:
    return next(iter(platform.clusters.values()))


class TestCreate:
    def test_makes_the_built_in_template_of_the_first_image(self, run: Run, platform: Platform) -> None:
        code, out, err = run("cluster", "create", "demo", "--nodes", "1")
        assert code == 0, err
        assert "CREATE_COMPLETE" in out
        assert (platform.templates["swarm"]["coe"], platform.templates["swarm"]["image_id"]) == ("swarm", "node")
        assert only(platform)["node_count"] == 1
        assert "demo" in run("cluster", "list")[1]

    def test_without_a_terminal_each_change_is_a_line(self, run: Run) -> None:
        err = run("cluster", "create", "demo", "--nodes", "1")[2]
        for node in ("default-master-0", "default-worker-0"):
            told = re.findall(rf"^ +\d+\.\d s  {node}  (\w+)$", err, re.MULTILINE)
            assert told == ["starting", "joining", "ready"]
        assert err.startswith("- create cluster demo ...\n")
        assert re.search(r"\d s  adding machines\n", err)
        assert re.search(r"✓ create cluster demo \(\d+\.\d s\)\n$", err)

    def test_all_that_can_be_asked_for(self, run: Run, platform: Platform) -> None:
        sizes = ["--flavor", "small", "--manager-flavor", "small", "--volume-size", "5", "--timeout", "3"]
        labels = ["--label", "drain_seconds=5", "--label", "my.own=a=b"]
        code, _, err = run(
            "cluster", "create", "demo", "--managers", "3", *sizes, *labels, "--image", "node-next", "--no-wait"
        )
        assert code == 0, err
        asked = only(platform)
        assert asked["labels"] == {"drain_seconds": "5", "my.own": "a=b"}
        assert (asked["merge_labels"], asked["master_lb_enabled"], asked["master_count"]) == (True, True, 3)
        assert (asked["flavor_id"], asked["master_flavor_id"], asked["docker_volume_size"]) == ("small", "small", 5)
        assert asked["create_timeout"] == 3
        assert asked["cluster_template_id"] == platform.templates["swarm-node-next"]["uuid"]

    def test_json_says_nothing_else(self, run: Run) -> None:
        code, out, err = run("cluster", "create", "demo", "--json")
        assert (code, err) == (0, "")
        made = json.loads(out)
        assert [group["name"] for group in made["nodegroups"]] == ["default-master", "default-worker"]

    def test_failure_names_cause_and_cure(self, run: Run, platform: Platform) -> None:
        platform.fail_with = "no room on the disk"
        code, _, err = run("cluster", "create", "demo")
        assert code == 1
        assert "error: demo: CREATE_FAILED: no room on the disk. " in err
        assert "'stackyard cluster resize demo --nodes N' tries again" in err

    def test_a_name_that_is_taken(self, run: Run, platform: Platform, demo: str) -> None:
        code, _, err = run("cluster", "create", demo)
        assert (code, len(platform.clusters)) == (1, 1)
        assert "error: there is a cluster demo already (CREATE_COMPLETE)" in err

    def test_a_refusal_is_told_in_the_platforms_words(self, run: Run) -> None:
        assert "error: master_count must be odd" in run("cluster", "create", "demo", "--managers", "2")[2]

    @pytest.mark.parametrize("word", ["alone", "=x"])
    def test_labels_wrongly(self, run: Run, word: str) -> None:
        code, _, err = run("cluster", "create", "demo", "--label", word)
        assert code == 2
        assert "must be KEY=VALUE" in err

    def test_unknown_template(self, run: Run) -> None:
        assert "built in: swarm" in run("cluster", "create", "demo", "--template", "k8s")[2]

    def test_interrupt_leaves_it_going_on(self, platform: Platform) -> None:
        process = subprocess.Popen([*MAIN, "cluster", "create", "demo"], stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert process.stderr.readline() == "- create cluster demo ...\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        assert process.returncode == 130
        assert "the platform goes on with it; to look at it again: stackyard cluster show demo --watch" in err


class TestShow:
    def test_picture(self, run: Run, platform: Platform, demo: str) -> None:
        found = only(platform)
        reasons = {
            "api": "slow",
            "default-master-0.Ready": "True",
            "default-worker-1.Ready": "False: it stopped",
            "default-worker-0.Ready": "True",
        }
        found.update(health_status="UNHEALTHY", health_status_reason=reasons)
        found["groups"][1]["nodes"][1]["state"] = "down"  # type: ignore[index]
        out = run("cluster", "show", demo)[1]
        assert out.splitlines()[0] == "demo  CREATE_COMPLETE  UNHEALTHY"
        assert "  address  tcp://10.0.0.2:2376" in out
        assert "  health   api: slow\n├" in out, "what is wrong with a node stands beside it"
        assert out.endswith(
            "├── default-master  master, 1/1 ready, image node\n"
            "│   └── default-master-0  ready     10.0.0.9\n"
            "└── default-worker  worker, 1/2 ready, image node\n"
            "    ├── default-worker-0  ready     10.0.0.9\n"
            "    └── default-worker-1  down      10.0.0.9  it stopped\n"
        )

    def test_watch_follows_to_the_end(self, run: Run) -> None:
        run("cluster", "create", "demo", "--no-wait")
        code, out, err = run("cluster", "show", "demo", "--watch")
        assert code == 0
        assert "CREATE_COMPLETE" in out
        assert "✓ create in progress of cluster demo (" in err

    def test_nodes_to_come_are_counted(self) -> None:
        group = {"name": "g", "role": "worker", "node_count": 2, "nodes": [], "status": "CREATE_IN_PROGRESS"}
        whole = {"name": "c", "status": "CREATE_IN_PROGRESS"}
        lines = [
            pictures.plain(line) for line in pictures.tree(whole, [{**group, "flavor_id": None, "image_id": None}])
        ]
        assert [line.strip("│├└─ ") for line in lines[2:]] == ["(to come)  absent"] * 2

    def test_unknown(self, run: Run) -> None:
        code, _, err = run("cluster", "show", "demo")
        assert code == 1
        assert "error: Cluster demo could not be found." in err

    def test_lists_all_pages(self, run: Run, platform: Platform) -> None:
        platform.page = 2
        for number in range(5):
            run("cluster", "create", f"c{number}", "--no-wait")
        assert [each["name"] for each in json.loads(run("cluster", "list", "--json")[1])] == [
            f"c{number}" for number in range(5)
        ]


class TestChange:
    def test_resize(self, run: Run, demo: str) -> None:
        assert run("cluster", "resize", demo, "--nodes", "4")[0] == 0
        assert json.loads(run("cluster", "show", demo, "--json")[1])["node_count"] == 4

    def test_resize_of_a_group(self, run: Run, platform: Platform, demo: str) -> None:
        run("cluster", "nodegroup", "add", demo, "big")
        assert run("cluster", "resize", demo, "--group", "big", "--nodes", "2")[0] == 0
        assert platform.asked == {"node_count": 2, "nodegroup": "big"}

    def test_named_nodes_go(self, run: Run, platform: Platform, demo: str) -> None:
        code, out, _ = run("cluster", "resize", demo, "--remove", "default-worker-0")
        assert code == 0
        assert platform.asked == {"node_count": 1, "nodes_to_remove": ["default-worker-0"]}
        assert "default-worker-1" in out
        assert "default-worker-0" not in out

    def test_resize_to_what(self, run: Run, demo: str) -> None:
        code, _, err = run("cluster", "resize", demo)
        assert code == 2
        assert "--nodes N" in err

    def test_resize_of_an_unknown_group(self, run: Run, demo: str) -> None:
        err = run("cluster", "resize", demo, "--group", "x", "--remove", "n")[2]
        assert "error: there is no node group 'x'; there are: default-master, default-worker" in err

    def test_upgrade_to_an_image_makes_the_template_once(self, run: Run, platform: Platform, demo: str) -> None:
        for _ in range(2):
            code, _, err = run("cluster", "upgrade", demo, "--image", "node-next", "--batch", "2")
            assert code == 0
            assert "✓ upgrade cluster demo to swarm-node-next (image node-next)" in err
        assert sorted(platform.templates) == ["swarm", "swarm-node-next"]
        made = platform.templates["swarm-node-next"]
        assert (made["image_id"], made["coe"]) == ("node-next", "swarm")
        assert platform.asked == {"cluster_template": made["uuid"], "max_batch_size": 2}

    def test_upgrade_back_finds_the_first_template(self, run: Run, platform: Platform, demo: str) -> None:
        run("cluster", "upgrade", demo, "--image", "node-next")
        only(platform)["cluster_template_id"] = platform.templates["swarm-node-next"]["uuid"]
        run("cluster", "upgrade", demo, "--image", "node")
        assert platform.asked == {"cluster_template": platform.templates["swarm"]["uuid"]}

    def test_upgrade_to_a_template(self, run: Run, platform: Platform, demo: str) -> None:
        run("cluster", "upgrade", demo, "--template", "swarm", "--group", "default-worker")
        uuid = platform.templates["swarm"]["uuid"]
        assert platform.asked == {"cluster_template": uuid, "nodegroup": "default-worker"}

    def test_upgrade_to_what(self, run: Run, demo: str) -> None:
        assert "--image IMAGE" in run("cluster", "upgrade", demo)[2]

    @pytest.mark.parametrize(("flags", "kind"), [([], "certificates"), (["--revoke"], "credentials")])
    def test_rotate(self, run: Run, platform: Platform, demo: str, flags: list[str], kind: str) -> None:
        code, _, err = run("cluster", "rotate", demo, *flags)
        assert (code, platform.asked) == (0, {"rotate": kind})
        assert "✓ rotate the CA of cluster demo" in err

    def test_delete(self, run: Run, platform: Platform, demo: str) -> None:
        run("cluster", "config", demo)
        folder = certificates.home(only(platform))
        assert folder.is_dir()
        code, _, err = run("cluster", "delete", demo)
        assert (code, platform.clusters, folder.exists()) == (0, {}, False)
        assert "✓ delete cluster demo" in err

    def test_delete_that_fails(self, run: Run, platform: Platform, demo: str) -> None:
        platform.fail_with = "the disk is broken"
        code, _, err = run("cluster", "delete", demo)
        assert code == 1
        assert "error: demo: DELETE_FAILED: the disk is broken. Try again: stackyard cluster delete demo" in err


class TestNodeGroups:
    def test_add_list_remove(self, run: Run, platform: Platform, demo: str) -> None:
        more = ["--nodes", "2", "--flavor", "small", "--min", "1", "--max", "4", "--node-label", "disk=ssd"]
        code, out, err = run("cluster", "nodegroup", "add", demo, "big", *more)
        assert code == 0, err
        bounds = {"min_node_count": 1, "max_node_count": 4}
        wanted = {"name": "big", "node_count": 2, "flavor_id": "small", "node_labels": {"disk": "ssd"}, **bounds}
        assert platform.asked == wanted
        assert "└── big  worker, 2/2 ready" in out
        listed = run("cluster", "nodegroup", "list", demo)[1]
        assert re.search(r"^big +worker +2 +2 +\w+ +small +node +1–4 ", listed, re.MULTILINE)
        assert run("cluster", "nodegroup", "remove", demo, "big")[0] == 0
        names = [group["name"] for group in json.loads(run("cluster", "nodegroup", "list", demo, "--json")[1])]
        assert names == ["default-master", "default-worker"]

    def test_remove_an_unknown_one(self, run: Run, demo: str) -> None:
        assert "error: nodegroup x could not be found" in run("cluster", "nodegroup", "remove", demo, "x")[2]


class TestConfig:
    def test_files_and_exports(self, run: Run, platform: Platform, demo: str, tmp_path: pathlib.Path) -> None:
        code, out, err = run("cluster", "config", demo)
        folder = certificates.home(only(platform))
        assert code == 0, err
        assert out.splitlines() == [
            "export DOCKER_HOST=tcp://10.0.0.2:2376",
            f"export DOCKER_CERT_PATH={folder}",
            "export DOCKER_TLS_VERIFY=1",
        ]
        assert folder.is_relative_to(tmp_path / ".local/share/stackyard/clusters")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
        assert modes == {"ca.pem": 0o600, "cert.pem": 0o600, "key.pem": 0o600}
        assert re.search(r"valid until \d{4}-\d\d-\d\d \d\d:\d\d UTC \(24 h\)", err)

    def test_key_and_certificate_belong_together(self, run: Run, platform: Platform, demo: str) -> None:
        run("cluster", "config", demo)
        folder = certificates.home(only(platform))
        before = (folder / "key.pem").read_text()
        run("cluster", "config", demo)
        assert (folder / "key.pem").read_text() != before, "each certificate has a key of its own"
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(str(folder / "cert.pem"), str(folder / "key.pem"))
        certificate = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()))

    def test_a_folder_with_a_space_reaches_the_shell_whole(self, run: Run, demo: str, tmp_path: pathlib.Path) -> None:
        out = run("cluster", "config", demo, "--dir", str(tmp_path / "my certs"))[1]
        script = f'{out}\nprintf %s "$DOCKER_CERT_PATH"'
        assert subprocess.check_output(["sh", "-c", script], text=True) == str(tmp_path / "my certs")

    def test_csh(self, run: Run, demo: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHELL", "/bin/tcsh")
        assert run("cluster", "config", demo)[1].startswith("setenv DOCKER_HOST tcp://10.0.0.2:2376\n")

    def test_json(self, run: Run, demo: str) -> None:
        found = json.loads(run("cluster", "config", demo, "--json")[1])
        assert found["DOCKER_HOST"] == "tcp://10.0.0.2:2376"
        assert set(found) == {"DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "valid_until"}

    def test_a_cluster_without_an_address(self, run: Run, platform: Platform, demo: str) -> None:
        only(platform).update(api_address=None, status="CREATE_FAILED")
        code, _, err = run("cluster", "config", demo)
        assert code == 1
        assert "error: cluster demo has no address yet (CREATE_FAILED)" in err

    def test_another_engine(self, run: Run, platform: Platform, demo: str) -> None:
        only(platform)["api_address"] = "https://10.0.0.2:6443"
        assert "is no Docker endpoint" in run("cluster", "config", demo)[2]

    def test_a_folder_that_is_none(self, run: Run, demo: str) -> None:
        code, _, err = run("cluster", "config", demo, "--dir", "/dev/null/x")
        assert code == 1
        assert "choose another: --dir" in err


class TestOffers:
    def test_offers(self, run: Run) -> None:
        out = run("cluster", "offers")[1]
        assert "node-next" in out
        assert re.search(r"^small +1\.0 +1024", out, re.MULTILINE)
        assert "LABELS OF SWARM, SWARM-MODE\n" in out
        assert re.search(r"^drain_seconds +integer +30 +how long", out, re.MULTILINE)
        assert json.loads(run("cluster", "offers", "--json")[1])["images"][0]["name"] == "node"

    def test_templates(self, run: Run, demo: str) -> None:
        assert re.search(r"^swarm +swarm +node", run("cluster", "templates")[1], re.MULTILINE)
        assert json.loads(run("cluster", "templates", "--json")[1])[0]["name"] == "swarm"


def on_a_terminal(*arguments: str) -> str:
    """Return what a command writes to a terminal."""
    pid, master = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(MAIN[0], [*MAIN, *arguments])
    said = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        said += piece
    os.close(master)
    assert os.waitpid(pid, 0)[1] == 0, said.decode()
    return said.decode()


def test_a_terminal_shows_the_tree_while_it_changes(platform: Platform) -> None:
    platform.step_seconds = 0.3
    said = on_a_terminal("cluster", "create", "demo", "--nodes", "1")
    words = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said)
    for state in ("starting", "joining", "ready"):
        assert re.search(rf"default-worker-0 +{state} +\d+\.\d s", words), state
    assert "Ctrl-C ends only the showing" in words
    assert re.search(r"✓ create cluster demo \(\d+\.\d s\)", words)
    assert 'docker on it: eval "$(stackyard cluster config demo)"; docker node ls' in words
