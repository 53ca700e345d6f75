"""Find the plan: arithmetic on the trace and the cost table, nothing else."""

from offramp.core.errors import Infeasible
from offramp.search.goal import Goal
from offramp.search.search import Found, search

__all__ = ["Found", "Goal", "Infeasible", "search"]
