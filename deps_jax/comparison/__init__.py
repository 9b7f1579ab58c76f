"""Methods side by side at equal cost: one space, data, loop and evaluation, several seeds."""
import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={
    "equal_cost": ["equal_steps", "run_macs"],
    "plan": ["Comparison", "PlannedRun"],
    "run_all": ["compare"],
    "report": ["write_report"],
})
