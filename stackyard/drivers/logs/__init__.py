# SPDX-License-Identifier: Apache-2.0
"""Where log lines are kept: implementations of the port LogStore."""
