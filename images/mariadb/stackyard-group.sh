#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The commands of a group's member that Stackyard runs: status, grant JSON, ready. See docs/groups.md.
exec python3 -S /usr/local/lib/stackyard/group.py "$@"
