# SPDX-License-Identifier: Apache-2.0
"""The commands that run the platform itself. The table in `stackyard.cli.main` names them; nothing imports them."""
