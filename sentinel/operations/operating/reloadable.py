"""Which settings may change while an instance runs, and why all others need a restart.

The one table of it: what is listed here is handed on by `Shared.reloaders` (where the task that
reads it is wired), is applied by `sentinel config apply`, and is told by `sentinel config show`.
"""

# A setting, or a section with all that is below it, and from when on a change holds.
RELOADABLE = {
    "policy": "from the next batch on",
    "deployment.shadow_share": "from the next batch on",
    "deployment.look_s": "after the next look",
    "updates.triggers": "when it is next asked whether an update is due",
    "updates.watch": "at the next look at a new champion; one that is watched stays watched until "
    "the end that it was given",
    "logging.level": "from the next line on",
    "drift.floor": "from the next step on; what was added up stays",
    "drift.run_length": "from the next step on; what was added up stays",
    "drift.window_rows": "for the window that is open",
    "drift.reference_rows_min": "for the reference that is being gathered",
}

# Of every section, why what of it is not above stays as it was when the instance started.
RESTART = {
    "schema": "records would be read in two ways within one state",
    "entities": "what is kept of entities in memory and in the store is laid out by it",
    "features": "models and entity state are made for exactly these",
    "policy": "",
    "kafka": "connections and the group are made once, at the start",
    "redis": "connections are made once, at the start",
    "topics": "what is read and written has its place from the start on",
    "engine": "queues and tasks are made by it",
    "feedback": "votes that are counted together must be counted alike",
    "consensus": "votes that are counted together must be counted alike",
    "archive": "it is of `sentinel archive run`, which reads it when it starts",
    "maturity": "it is of `sentinel archive run`, which reads it when it starts",
    "pool": "processes are started by it",
    "model": "a model that is named is loaded once, at the start",
    "trial": "versions that run are held to what they were tried by",
    "deployment": "what is in memory is chosen by it",
    "learning": "the trainer's process is started with it, and holds examples by it",
    "updates": "who may put a model to use is not loosened by the way",
    "drift": "what is counted, and in which cells, would not fit what was counted before",
    "experiments": "experiments that run are judged by what they were started with",
    "trainer": "the trainer's process is started with it",
    "fallback": "the rules of thumb are made once, at the start",
    "http": "it listens from the start on",
    "logging": "lines are of one form from the start on",
    "rollouts": "what is under way goes through the steps that it was begun with",
    "training": "it is of `sentinel train`, which reads it when it starts",
}


def is_reloadable(path: str) -> bool:
    """Whether a setting, such as "policy.review_min", may change while an instance runs."""
    return any(path == one or path.startswith(f"{one}.") for one in RELOADABLE)


def why_restart(path: str) -> str:
    """Why a setting that is not reloadable needs a restart."""
    return RESTART[path.partition(".")[0]]
