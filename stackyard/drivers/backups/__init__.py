# SPDX-License-Identifier: Apache-2.0
"""Where the content of backups is kept."""
