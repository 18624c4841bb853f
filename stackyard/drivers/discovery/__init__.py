# SPDX-License-Identifier: Apache-2.0
"""Registries of services: implementations of the port Discovery."""
