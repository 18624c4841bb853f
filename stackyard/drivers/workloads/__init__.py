# SPDX-License-Identifier: Apache-2.0
"""Workloads: running the services of releases on a formed cluster, and reading their logs in true order of time."""

from __future__ import annotations

from stackyard.drivers.workloads.swarm import SwarmWorkloads

__all__ = ["SwarmWorkloads"]
