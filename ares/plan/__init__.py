"""Graph -> Plan: the order of kernel calls, the place of every tensor, and the proof that sums fit int32."""

from ares.plan.arena import Buffer, live_set_bound, place
from ares.plan.planner import Plan, PlanError, PlannedTensor, Step, plan

__all__ = [
    "Buffer",
    "Plan",
    "PlanError",
    "PlannedTensor",
    "Step",
    "live_set_bound",
    "place",
    "plan",
]
