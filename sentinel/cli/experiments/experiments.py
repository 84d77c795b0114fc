"""`sentinel experiments`: which arm is better, and is it chance?"""

from sentinel.cli.commands import command_group
from sentinel.cli.experiments.analysing import analyse_file

experiments = command_group("Which arm is better, and is it chance?")


@experiments.callback()
def _stay_a_group() -> None:  # of one command alone Typer would make that command
    pass


experiments.command("analyse")(analyse_file)
