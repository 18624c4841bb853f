# SPDX-License-Identifier: Apache-2.0
"""Builders: what a source tree is, and how it becomes images."""

from stackyard.drivers.builders.limits import Limits
from stackyard.drivers.builders.stack_command import StackCommand
from stackyard.drivers.builders.tenant import Supplies, TenantBuilder

__all__ = ["Limits", "StackCommand", "Supplies", "TenantBuilder"]
