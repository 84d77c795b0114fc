"""`sentinel experiments`: which model, or which policy, is better?"""

from sentinel.cli.commands import command_group
from sentinel.cli.experiments.acting import (
    pause_running,
    ramp_up,
    resume_paused,
    settle_waiting,
    start_draft,
    stop_running,
)
from sentinel.cli.experiments.analysing import analyse_file
from sentinel.cli.experiments.creating import create_draft
from sentinel.cli.experiments.plan import plan_experiment
from sentinel.cli.experiments.report import report_looks
from sentinel.cli.experiments.showing import list_all, show_one

experiments = command_group("Which model, or which policy, is better?")

experiments.command("plan")(plan_experiment)
experiments.command("create")(create_draft)
experiments.command("start")(start_draft)
experiments.command("list")(list_all)
experiments.command("show")(show_one)
experiments.command("report")(report_looks)
experiments.command("ramp")(ramp_up)
experiments.command("pause")(pause_running)
experiments.command("resume")(resume_paused)
experiments.command("stop")(stop_running)
experiments.command("settle")(settle_waiting)
experiments.command("analyse")(analyse_file)
