#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Nova's compute service. Debian's package of this command draws in hypervisors, which its Python does not need."""

import sys

from nova.cmd.compute import main

if __name__ == "__main__":
    sys.exit(main())
