"""`sentinel check-config`: is it right, and what does it amount to."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from sentinel import config as configuration
from sentinel.core.features.state import FeatureState


def check_command(config_file: Path | None) -> None:
    """Validate everything and show entities and features."""
    config = configuration.load(config_file)
    state = FeatureState(
        config.entities,
        config.features,
        amount_decimals=config.schema.amount_decimals,
        entities_max=2,
    )
    console = Console()
    name = config_file or "the built-in configuration (sentinel.toml, and stream.toml over it)"
    console.print(f"{name} is valid: version {config.version}, {len(config.features)} features")
    table = Table("entity", "kind", "bytes in memory", "field")
    fields = {"account": config.schema.account, **config.schema.entities}
    for plan in state.plans:
        table.add_row(
            plan.entity, plan.params.kind, f"{plan.word_count * 8:,}", fields[plan.entity]
        )
    console.print(table)
