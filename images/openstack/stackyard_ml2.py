# SPDX-License-Identifier: Apache-2.0
"""A mechanism driver for Neutron's ML2 that binds every port to a bridge at once: there is no agent that would.

For a control plane whose hypervisors plug nothing (Nova's fake driver); found by its entry point `stackyard`.
"""

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api


class Driver(api.MechanismDriver):
    """Says yes to every port."""

    def initialize(self) -> None:
        """Nothing is to be prepared."""

    @property
    def connectivity(self) -> str:
        """Return the layer on which ports of this driver meet."""
        return portbindings.CONNECTIVITY_L2

    def bind_port(self, context: api.PortContext) -> None:
        """Bind the port on the first segment."""
        for segment in context.segments_to_bind[:1]:
            details = {portbindings.CAP_PORT_FILTER: False, "bridge_name": f"brq{context.current['network_id'][:11]}"}
            context.set_binding(segment[api.ID], portbindings.VIF_TYPE_BRIDGE, details, constants.PORT_STATUS_ACTIVE)
