"""The pages of the listener: alive, ready, measured."""

from sentinel.adapters.http import Page, PageAnswer
from sentinel.app.monitoring.counted import CountedFamilies
from sentinel.app.monitoring.gauges import GAUGES
from sentinel.app.status import Status
from sentinel.codec.monitoring.exposition import MEDIA_TYPE, exposition
from sentinel.codec.records import encode_pretty


def pages(status: Status) -> dict[str, Page]:
    """Every page by its path."""
    counted = CountedFamilies(status.metrics, amount_decimals=status.config.schema.amount_decimals)

    def healthz() -> PageAnswer:
        """That the loop has come by: no more, or an outage of Kafka would restart everything."""
        return PageAnswer(b"ok\n", "text/plain")

    def readyz() -> PageAnswer:
        """Whether transactions that come now are decided soon, and if not, why."""
        health, instance = status.health(), status.instance
        facts = {
            "status": health.status,
            "reasons": list(health.reasons),
            "lag": None if instance is None else instance.lag(),
            "model_version": status.model_version or None,
        }
        return PageAnswer(encode_pretty(facts), "application/json", 200 if health.is_ready else 503)

    def metrics() -> PageAnswer:
        """What Prometheus asks for."""
        now = (gauge.family(status) for gauge in GAUGES)
        return PageAnswer(exposition([*counted.families(), *now]), MEDIA_TYPE)

    return {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}
