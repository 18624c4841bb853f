# SPDX-License-Identifier: Apache-2.0
"""A wrong policy file is told in one plain line that names it, and nothing is started."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from stackyard.drivers.secrets.fernet import ensure_key
from stackyard.local import settings
from stackyard.local.state import State
from tests.platform.conftest import free_ports
from tests.platform.shell import BIN

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
WRONG = '"cluster:creat": "role:reader"\n'


@pytest.fixture
def state() -> Iterator[State]:
    with tempfile.TemporaryDirectory(prefix="sytest-policy-") as folder:
        made = State(pathlib.Path(folder) / "state")
        made.make()
        (made / "policy.yaml").write_text(WRONG)
        yield made


def refusal(state: State) -> str:
    return f"the policy file {state / 'policy.yaml'} can't be used: there is no rule cluster:creat"


def test_up_refuses_before_anything_is_started(state: State) -> None:
    ports = free_ports("api", "identity", "registry", "router").items()
    words = [word for name, port in ports for word in (f"--{name}-port", str(port))]
    command = [BIN / "stackyard", "up", "--state-dir", str(state.folder), "--instance", "sytest-policy", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(refusal(state))
    assert not state.conf.exists()


def test_the_api_says_so_in_its_log_and_is_not_started_again_and_again(state: State) -> None:
    settings.save(state, settings.merge(state, {("DEFAULT", "instance"): "sytest-policy"}))
    ensure_key(state / "secrets/fernet.key")
    port = free_ports("api")["api"]
    serve = [sys.executable, "-m", "stackyard.local.serve", "api", "stackyard.wsgi:application"]
    environment = {**os.environ, "STACKYARD_CONF": str(state.conf)}
    done = subprocess.run(
        [*serve, f"127.0.0.1:{port}", "1"], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode != 0
    assert f"error: {refusal(state)}" in done.stderr.splitlines()
    assert "Traceback" not in done.stderr
