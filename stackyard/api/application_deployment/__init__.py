# SPDX-License-Identifier: Apache-2.0
"""The API of applications, in the resource words of OpenStack Solum's (`application-deployment`, v1)."""
