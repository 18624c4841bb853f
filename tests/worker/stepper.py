# SPDX-License-Identifier: Apache-2.0
"""A worker process of the lease proof: takes objects through four steps, now and then more slowly than its lease.

Run as `python stepper.py URL`. Each step's save adds one event in the same transaction, so that a step
saved twice would be seen.
"""

from __future__ import annotations

import dataclasses
import random
import sys
import time

from stackyard.model import errors
from stackyard.model.phase import Trigger
from stackyard.store import Store
from stackyard.store.leases import Leases

LEASE_SECONDS = 0.4
STEPS = 4


def step(leases: Leases) -> bool:
    taken = leases.acquire()
    if taken is None:
        return False
    lease, record = taken
    done = int(record.extra.get("done", 0))
    if done == STEPS:  # whoever saved the last step was killed before it gave the row back
        leases.release(lease, after=1e6)
        return True
    # One in twelve sleeps beyond its lease: it wakes as a zombie whose save must be refused.
    time.sleep(LEASE_SECONDS * 1.5 if random.random() < 1 / 12 else random.uniform(0.001, 0.01))
    record = dataclasses.replace(record, extra={"done": done + 1})
    last = done + 1 == STEPS
    leases.save(lease, record, Trigger.REACHED if last else None, ("step", str(done + 1)))
    leases.release(lease, after=1e6 if last else 0)
    return True


def main(url: str) -> None:
    store = Store(url, pool_size=2)
    leases = Leases(store, lambda tx: tx.applications, LEASE_SECONDS)
    while True:
        try:
            worked = step(leases)
        except errors.Fenced:
            print("fenced", flush=True)
        else:
            if not worked:
                time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1])
