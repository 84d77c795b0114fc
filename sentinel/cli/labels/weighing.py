"""The votes of a file when they are weighed: as tables to write, and in short to show."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
import polars as pl
from rich.table import Table

from sentinel.cli.texts import PlainConsole, shown
from sentinel.core.consensus.batch.judging import Judged
from sentinel.core.consensus.params import ConsensusParams
from sentinel.stored.votes import RETRACTED, Case

_SHOWN_COUNT = 20


def task_table(cases: Sequence[Case], found: Judged) -> pl.DataFrame:
    """Every task with its posterior, its label, and how many voted."""
    return pl.DataFrame(
        {
            "task": [case.transaction_id for case in cases],
            "posterior": found.consensus.posterior,
            "label": list(found.verdicts),
            "vote_count": [sum(vote.is_telling for vote in case.votes) for case in cases],
        },
        schema_overrides={"task": pl.String, "label": pl.String, "vote_count": pl.Int64},
    )


def worker_table(found: Judged, params: ConsensusParams) -> pl.DataFrame:
    """Every worker with what their record says, the busiest first; none of a trusted source."""
    votes, skills = found.votes, found.consensus.skills
    count = np.bincount(votes.annotator, minlength=votes.annotator_count)
    p = found.consensus.posterior[votes.task]
    agreed = np.bincount(
        votes.annotator,
        np.where(votes.says_fraud, p, 1 - p),
        minlength=votes.annotator_count,
    )
    low_sensitivity, high_sensitivity = skills.sensitivity_interval(params)
    low_specificity, high_specificity = skills.specificity_interval(params)
    return pl.DataFrame(
        {
            "worker": [name.removeprefix("/") for name in found.names],
            "vote_count": count,
            "agreement": agreed / np.maximum(count, 1),
            "sensitivity": skills.sensitivity(params),
            "sensitivity_low": low_sensitivity,
            "sensitivity_high": high_sensitivity,
            "specificity": skills.specificity(params),
            "specificity_low": low_specificity,
            "specificity_high": high_specificity,
            "group_size": np.bincount(found.group, minlength=votes.annotator_count)[found.group],
        }
    ).sort("vote_count", descending=True, maintain_order=True)


def show_weighed(
    cases: Sequence[Case], found: Judged, workers: pl.DataFrame, trusted: Collection[str]
) -> None:
    """How many votes there were, what is settled, and the busiest workers."""
    console = PlainConsole()
    words = Counter(
        "trusted" if vote.source in trusted and vote.is_telling else vote.label
        for case in cases
        for vote in case.votes
    )
    by_verdict = Counter(found.verdicts)
    settled = ", ".join(f"{count:,} {name}" for name, count in sorted(by_verdict.items()))
    others = "".join(
        f", {words[word]:,} {name}"
        for word, name in ((RETRACTED, "retracted"), ("trusted", "votes of trusted sources"))
        if words[word]
    )
    console.print(
        f"{len(found.votes):,} votes of {len(found.names):,} on {len(cases):,} tasks, "
        f"{words['unsure']:,} unsure{others}: {settled}"
    )
    table = Table(title=f"the busiest {min(_SHOWN_COUNT, len(workers))} of {len(workers):,}")
    table.add_column("worker", overflow="fold")
    for name in ("votes", "agreement", "sensitivity", "specificity", "votes alike with"):
        table.add_column(name, justify="right")
    for row in workers.head(_SHOWN_COUNT).iter_rows(named=True):
        table.add_row(
            shown(row["worker"]),
            f"{row['vote_count']:,}",
            f"{row['agreement']:.2f}",
            *(
                f"{row[name]:.2f} ({row[f'{name}_low']:.2f}–{row[f'{name}_high']:.2f})"
                for name in ("sensitivity", "specificity")
            ),
            f"{row['group_size'] - 1:,} others" if row["group_size"] > 1 else "",
        )
    console.print(table)
