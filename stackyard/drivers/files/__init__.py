# SPDX-License-Identifier: Apache-2.0
"""Texts of files that releases bring into containers: templates, INI overlays, checks of options.

Called where sources are read, where runs are made and where overlays are set. Knows no engine and no database.
"""
