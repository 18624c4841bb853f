# SPDX-License-Identifier: Apache-2.0
"""The API of clusters, compatible with OpenStack Magnum's (`container-infra`, v1, microversions 1.1 to 1.14)."""
