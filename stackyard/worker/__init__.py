# SPDX-License-Identifier: Apache-2.0
"""The worker: lease → observe → plan → act → save, for every noun alike."""
