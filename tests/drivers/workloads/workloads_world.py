# SPDX-License-Identifier: Apache-2.0
"""One application on one cluster, as the tests of workloads handle it."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable

from stackyard.model.applications import Service
from stackyard.model.ports import ClusterAccess, Replica, Run, RunSeen, Workloads

SERVE = ("sh", "-c", "mkdir -p /tmp/www && cd /tmp/www && echo $GREETING > index.html && exec httpd -f -p 8000")


@dataclasses.dataclass
class World:
    """One application on one cluster."""

    workloads: Workloads
    access: ClusterAccess
    image: str
    app_id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))

    def run(self, command: tuple[str, ...] = SERVE, replicas: int = 2, release: int = 1, **options: object) -> Run:
        pin = options.pop("pin", None)
        service = Service(**{"name": "web", "image": self.image, "command": command, "stop_grace": 2.0} | options)
        return Run(
            name=f"{self.app_id[:8]}-{service.name}-{release}",
            app_id=self.app_id,
            release=release,
            service=service,
            replicas=replicas,
            environment={"GREETING": f"release {release}"},
            digest=f"digest{release}",
            pin=pin,
        )

    def start(self, run: Run) -> None:
        self.workloads.start(self.access, run)

    def seen(self) -> list[RunSeen]:
        return self.workloads.runs(self.access, self.app_id)

    def of(self, run: Run) -> RunSeen | None:
        return next((each for each in self.seen() if each.name == run.name), None)

    def in_state(self, run: Run, state: str) -> list[Replica]:
        found = self.of(run)
        return [each for each in found.tasks if each.state == state] if found else []

    def until(self, condition: Callable[[], object], seconds: float = 20.0) -> object:
        """Look again at each event, as the worker does."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, self.seen()
            self.workloads.wait(self.access, self.app_id, 0.25)
        return value

    def ready(self, run: Run) -> list[Replica]:
        """Wait until the run has all its replicas running."""
        self.until(lambda: len(self.in_state(run, "running")) == run.replicas)
        return self.in_state(run, "running")
