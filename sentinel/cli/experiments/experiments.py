"""`sentinel experiments`: which arm is better, and is it chance?"""

from sentinel.cli.commands import command_group
from sentinel.cli.experiments.analysing import analyse_file
from sentinel.cli.experiments.plan import plan_experiment

experiments = command_group("Which arm is better, and is it chance?")

experiments.command("plan")(plan_experiment)
experiments.command("analyse")(analyse_file)
