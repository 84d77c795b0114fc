"""What `sentinel init` took the columns of a file or topic for, and why, shown."""

from rich.table import Table

from sentinel.cli.texts import PlainConsole
from sentinel.operations.arrival.proposal import Proposal

_NAMES_SHOWN_MAX = 20


def tell_proposal(console: PlainConsole, found: Proposal) -> None:
    """What the columns were taken for, and why."""
    look = found.look
    if look.is_topic:
        counted = f"{look.row_count:,} records looked at"
    else:
        seen = "all" if look.is_whole else f"{look.seen_count:,}"
        counted = f"{look.row_count:,} rows, {seen} looked at"
    console.print(f"{look.file_name}: {counted}", soft_wrap=True)
    console.print(_roles_table(found))
    ignored = [one for one in found.inputs if one.use == "ignored"]
    for why in dict.fromkeys(one.why for one in ignored):
        names = [one.column.name or "(no name)" for one in ignored if one.why == why]
        console.print(f"left out: {_some(names)}: {why}", soft_wrap=True)
    for question in found.questions:
        said = f"guessed: {question.text} {question.guess}: {question.why}; {question.flag} says it"
        console.print(said, soft_wrap=True)
    for note in found.notes:
        console.print(f"note: {note}", soft_wrap=True)


def _roles_table(found: Proposal) -> Table:
    time = found.time
    how = " ".join(filter(None, (time.of.format, time.step, time.origin, time.zone)))
    amount = f"{found.amount_format}, {found.amount_decimals} decimals"
    table = Table("what", "column", "because")
    for name, role in (("transaction", found.transaction_id), ("account", found.account)):
        table.add_row(name, role.column.name if role.column else "(its row)", role.why)
    table.add_row("event time", time.of.column.name, f"{time.why}: {how}")
    table.add_row("amount", found.amount.name, amount)
    table.add_row("label", found.label.name if found.label else "(none)", "")
    for use in ("entity", "category", "number", "boolean"):
        names = [one.column.name for one in found.inputs if one.use == use]
        if names:
            table.add_row(use, _some(names), "")
    return table


def _some(names: list[str]) -> str:
    more = len(names) - _NAMES_SHOWN_MAX
    return ", ".join(names[:_NAMES_SHOWN_MAX]) + (f" and {more:,} more" if more > 0 else "")
