"""What is kept as documents: each store knows names, codecs and conditions, and no database.

A store of another kind of thing is one more module here, on the same `documents.Documents`.
"""

from sentinel.stores.cases import StoredCases
from sentinel.stores.drift import StoredDrift
from sentinel.stores.experiments import StoredExperiments
from sentinel.stores.models import StoredModels
from sentinel.stores.operating import StoredOperating
from sentinel.stores.reports import StoredReports
from sentinel.stores.rollouts import StoredRollouts
from sentinel.stores.savepoints import StoredSavepoints

__all__ = [
    "StoredCases",
    "StoredDrift",
    "StoredExperiments",
    "StoredModels",
    "StoredOperating",
    "StoredReports",
    "StoredRollouts",
    "StoredSavepoints",
]
