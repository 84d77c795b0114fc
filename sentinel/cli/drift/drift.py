"""`sentinel drift`: has what comes changed?"""

from sentinel.cli.commands import command_group
from sentinel.cli.drift.acting import acknowledge_alarm, suppress_column
from sentinel.cli.drift.checking import check_files
from sentinel.cli.drift.report import show_report
from sentinel.cli.drift.status import show_reference, show_status

drift = command_group("Has what comes changed?")

drift.command("check")(check_files)
drift.command("status")(show_status)
drift.command("report")(show_report)
drift.command("ack")(acknowledge_alarm)
drift.command("suppress")(suppress_column)
drift.command("reference")(show_reference)
