"""One strike of each operator's fault, on Apache Kafka and Redis that all of them share.

`python -m tests.faults --fault NAME --broker kafka --strikes 20` is the same at length.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.conftest import ON_KAFKA
from tests.faults.operators.run import SCENES, Workshop, said

# What is not kept yet, and so is not run here: what was seen last. To be emptied.
# Which strike: of the variants the one that says most in little time.
SEEDS = {"readonly-store": 3, "flush-with-trimmed-log": 5, "recreate-topic-shorter": 3}

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.kafka,
    pytest.mark.slow,
    pytest.mark.skipif(not ON_KAFKA, reason="needs Apache Kafka: `make test-kafka`"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workshop() -> AsyncIterator[Workshop]:
    async with Workshop() as shared:
        yield shared


@pytest.mark.parametrize("fault", SCENES)
async def test_it_is_exact_or_stops_with_a_sentence(workshop: Workshop, fault: str) -> None:
    found = await workshop.run(fault, seed=SEEDS.get(fault, 1))

    assert found.is_kept, "\n".join(said(found))
    assert found.total("sent") > 500
