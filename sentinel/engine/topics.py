"""The one table of topics: what each is keyed by, how it is kept, who writes it, and who reads it.

Whatever must be known of all topics is asked here: what to create, what to check, what
docs/reference.md says. The names themselves can be configured (`TopicParams`); a row is called as
its setting is.
"""

from dataclasses import dataclass

_NEWEST = "only the newest of each account would be kept"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Attributes
    ----------
    setting
        Its name among `TopicParams`.
    key
        What its records are keyed by; empty where they have no key that matters.
    is_spread
        Whether it has as many partitions as `transactions`, in which an account is where its
        transactions are; the others have one, since everything in them must be in one order.
    is_history
        Whether it is read as far back as features look, when state must be built anew.
    writers, readers
        Which part of Sentinel does so, or "yours".
    if_compacted
        What would be lost if only the newest record of each key were kept.
    """

    setting: str
    key: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    if_compacted: str
    is_spread: bool = False
    is_history: bool = False

    @property
    def is_input(self) -> bool:
        """Whether others write it: Sentinel itself at most as one of them."""
        return "yours" in self.writers


TOPICS = (
    Topic(
        "transactions", "account", ("yours",), ("scoring",), _NEWEST,
        is_spread=True, is_history=True,
    ),
    Topic("decisions", "account", ("scoring",), ("archive", "yours"), _NEWEST, is_spread=True),
    Topic("alerts", "account", ("alerts",), ("yours",), _NEWEST, is_spread=True),
    Topic(
        "feedback", "transaction", ("yours", "archive", "feedback"), ("feedback", "archive"),
        "only the last word on each transaction would be kept",
    ),
    Topic(
        "labels", "transaction", ("feedback",), ("scoring", "archive", "yours"),
        "a replay would apply other labels than before",
        is_history=True,
    ),
    Topic(
        "examples", "transaction", ("archive",), ("training", "drift", "experiments", "yours"),
        "what a label superseded could not be read again",
    ),
    Topic(
        "model_updates", "model version", ("training", "commands"), ("deployment", "yours"),
        "only the last change of each version would be kept",
    ),
    Topic("control", "", ("commands",), ("training",), "commands would be lost"),
    Topic(
        "audit", "subject", ("feedback", "training", "experiments", "commands"),
        ("archive", "yours"),
        "only the last change of each transaction would be kept",
    ),
    Topic(
        "dead_letters", "", ("scoring", "feedback"), ("commands",),
        "a record without a key would be refused, and stop everything",
    ),
    Topic(
        "summaries", "input partition", ("scoring",), ("drift", "yours"),
        "only the newest counts of each input partition would be kept",
    ),
    Topic(
        "drift_alerts", "alarm", ("drift", "commands"), ("training", "yours"),
        "only the last change of each alarm would be kept",
    ),
    Topic(
        "experiments", "experiment", ("experiments", "commands"),
        ("scoring", "archive", "yours"),
        "only the last change of each experiment would be kept",
    ),
    Topic(
        "outcomes", "experiment, or input partition", ("scoring", "archive"),
        ("experiments", "archive", "yours"),
        "only the last look at each experiment would be kept",
    ),
    Topic(
        "rollouts", "rollout", ("training", "commands"), ("yours",),
        "only the last step of each rollout would be kept",
    ),
)  # fmt: skip
