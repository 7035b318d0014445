"""Graph -> Plan: the order of kernel calls, the place of every tensor, and the proof that sums fit int32."""

from ares.plan.arena import Buffer, live_set_bound, place
from ares.plan.code_ports import CodePorts, PortError, code_ports
from ares.plan.planner import Plan, PlanError, PlannedTensor, Space, Step, plan, site_of

__all__ = [
    "Buffer",
    "CodePorts",
    "Plan",
    "PlanError",
    "PlannedTensor",
    "PortError",
    "Space",
    "Step",
    "code_ports",
    "live_set_bound",
    "place",
    "plan",
    "site_of",
]
