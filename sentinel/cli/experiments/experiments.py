"""`sentinel experiments`: which model, or which policy, is better?"""

from sentinel.cli.commands import command_group
from sentinel.cli.experiments.plan import plan_experiment

experiments = command_group("Which model, or which policy, is better?")

experiments.callback()(lambda: None)  # one command alone would not need to be named
experiments.command("plan")(plan_experiment)
