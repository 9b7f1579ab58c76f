"""Methods side by side at equal cost: one space, data, loop and evaluation, several seeds."""
from deps_jax.common import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__, {
    "equal_cost": ["equal_steps", "run_macs"],
    "plan": ["Comparison", "PlannedRun"],
    "run_all": ["compare"],
    "report": ["write_report"],
})
