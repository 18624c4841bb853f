# SPDX-License-Identifier: Apache-2.0
"""The figures that count, each beside its floor from the same run."""
