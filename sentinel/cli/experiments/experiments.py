"""`sentinel experiments`: which model, or which policy, is better?"""

from sentinel.cli.commands import command_group
from sentinel.cli.experiments.analysing import analyse_file
from sentinel.cli.experiments.plan import plan_experiment

experiments = command_group("Which model, or which policy, is better?")

experiments.command("plan")(plan_experiment)
experiments.command("analyse")(analyse_file)
