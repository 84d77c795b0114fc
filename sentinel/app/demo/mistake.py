"""The one mistake that is scripted: somebody promotes a model that was trained on the wrong word.

All of it by the registry's own operations: a model that can be loaded and scores, made of what is
in the archive, promoted by hand. Only its labels say the contrary.
"""

import asyncio
from functools import partial

import numpy as np

from sentinel import archive
from sentinel.config import Config
from sentinel.core.registry import transitions
from sentinel.operations.models import registry
from sentinel.operations.models.train import train
from sentinel.stored.versions import Artifact

WHO = "pat"
WHY = "the column says what was fine, I thought it says what was fraud"
_ROW_COUNT = 60_000


async def promote_a_bad_model(config: Config) -> tuple[str, str]:
    """Train, register, promote; the version, and what was done, in a sentence."""
    text, manifest = await asyncio.to_thread(_inverted, config)
    version = await registry.free_version(config, manifest)
    await registry.add(config, Artifact(version, text, manifest), who=WHO, why=WHY)
    promoted = partial(
        transitions.promoted,
        version=version,
        who=WHO,
        why=WHY,
        at_ms=registry.now_ms(),
        approval_needed=config.updates.needs_approval,
    )
    await registry.change_registry(config, [promoted])
    return version, f"{WHO} promotes {version} by hand, trained with fraud and genuine exchanged"


def _inverted(config: Config) -> tuple[str, dict[str, object]]:
    rows = archive.scan(config.archive.directory, "decisions").sort("offset").tail(_ROW_COUNT)
    labels = (
        archive.scan(config.archive.directory, "labels")
        .sort("offset")
        .unique("transaction_id", keep="last")
        .select("transaction_id", "label")
    )
    frame = rows.join(labels, on="transaction_id", how="left").sort("offset").collect()
    features = frame.select(f"feature_{one.name}" for one in config.features).to_numpy()
    exchanged = np.where((frame["label"] == "fraud").fill_null(value=False).to_numpy(), 0, 1)
    return train(
        np.ascontiguousarray(features, dtype=np.float64),
        exchanged.astype(np.int64),
        frame["event_time_ms"].to_numpy(),
        frame["account"].to_list(),
        config,
    )
