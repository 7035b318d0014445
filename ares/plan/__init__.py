"""Graph -> Plan: the order of kernel calls, the place of every tensor, and the proof that sums fit int32."""

from ares.plan.arena import Buffer, live_set_bound, place
from ares.plan.planner import Plan, PlanError, PlannedTensor, Space, Step, plan, site_of

__all__ = [
    "Buffer",
    "Plan",
    "PlanError",
    "PlannedTensor",
    "Space",
    "Step",
    "live_set_bound",
    "place",
    "plan",
    "site_of",
]
