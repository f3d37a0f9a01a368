"""What no single section can see: settings that contradict each other, or that can never hold."""

from mpp.settings.problem import Rule

RULES: tuple[Rule, ...] = ()
