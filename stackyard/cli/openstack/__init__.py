# SPDX-License-Identifier: Apache-2.0
"""`stackyard openstack`: OpenStack's own services deployed as the application `openstack`."""
