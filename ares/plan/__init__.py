"""Graph -> Plan: the order of kernel calls, the place of every tensor, and the proof that sums fit int32."""

from ares.plan.arena import Buffer, live_set_bound, place
from ares.plan.choices import SHIPPED, Choices, Share, drawn_choices
from ares.plan.code_ports import CodePorts, PortError, code_ports
from ares.plan.planner import Plan, PlanError, PlannedTensor, Space, Step, plan, site_of

__all__ = [
    "SHIPPED",
    "Buffer",
    "Choices",
    "CodePorts",
    "Plan",
    "PlanError",
    "PlannedTensor",
    "PortError",
    "Share",
    "Space",
    "Step",
    "code_ports",
    "drawn_choices",
    "live_set_bound",
    "place",
    "plan",
    "site_of",
]
