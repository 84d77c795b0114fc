"""How often the promotion gate lets luck through, and how often true progress.

    python -m benchmarks.gate [--trials N] [--json FILE] [--quick]

Challengers with no, a small and a medium advantage over their champion are judged on simulated
scores: normal ones with a higher mean for frauds, of which champion and challenger have 0.8 in
common within a class, 20,000 examples with 2 % fraud, and as many old ones. Once the rows of an
account depend on each other, five rows each. Beside the gate's rate of promotion stand those of
"promote if the AUC is higher" and of DeLong's test alone.

Then LightGBM is trained twice on the same generated rows, once as it is and once with frauds
weighing as much as all the rest (`scale_pos_weight`), and each is judged as the challenger of a
model of fewer trees: the second one for its calibration must be refused.
"""

import argparse
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from scipy.special import expit

from benchmarks.harness import facts, header, print_table, write_json
from sentinel.core.decision import PolicyParams, actions
from sentinel.core.learning.gate.evidence import Evidence, PairedScores
from sentinel.core.learning.gate.judging import GateParams, Verdict, judge
from sentinel.core.learning.params import FitParams
from sentinel.model import Model, fit
from sentinel.records import Floats, Ints
from tests.core.learning.pairs import binormal, evidence

SEED = 2026
CHAMPION_AUC = 0.9
EXAMPLE_COUNT = 20_000
FEATURE_COUNT = 12
POLICY = PolicyParams()


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is simulated; `trial_share` of the trials asked for."""

    name: str
    challenger_auc: float
    rows_a_group: int
    trial_share: float


# At 400 frauds the standard error of the difference is about 0.0055.
SCENARIOS = (
    Scenario("none", CHAMPION_AUC, 1, 1.0),
    Scenario("none, 5 rows an account", CHAMPION_AUC, 5, 1.0),
    Scenario("small", 0.906, 1, 0.2),
    Scenario("medium", 0.9135, 1, 0.2),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=1_000, help="under the null hypothesis")
    parser.add_argument("--replicates", type=int, default=200, help="of each bootstrap")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="20 trials: under 45 s")
    options = parser.parse_args()
    if options.quick:
        options.trials, options.replicates = 20, 100
    about = facts(options.seed)
    params = GateParams(replicate_count=options.replicates)
    print(header(about))
    simulated = []
    for number, scenario in enumerate(SCENARIOS):
        rng = default_rng([options.seed, number])
        count = max(1, round(options.trials * scenario.trial_share))
        simulated.append(rates(scenario, count, params, rng))
    print_table(list(simulated[0]), [[_cell(v) for v in row.values()] for row in simulated])
    trained = weighted_training(params, default_rng([options.seed, len(SCENARIOS)]))
    print_table(list(trained[0]), [[_cell(v) for v in row.values()] for row in trained])
    figures = {"simulated": simulated, "trained": trained, "replicates": options.replicates}
    write_json(options.json, {"benchmark": "gate", **about, **figures})


def rates(
    scenario: Scenario, trial_count: int, params: GateParams, rng: Generator
) -> dict[str, Any]:
    """What became of so many challengers of a kind, in shares of them."""
    verdicts = []
    for number in range(trial_count):
        recent, old = (_scores(scenario, rng) for _ in range(2))
        verdicts.append(judge(_with_actions(evidence(recent, old)), replace(params, seed=number)))
    promoted = float(np.mean([verdict.outcome == "promote" for verdict in verdicts]))
    delong = [measured(verdict, "auc") for verdict in verdicts]
    failures = Counter(name for verdict in verdicts for name in failed(verdict))
    return {
        "advantage": scenario.name,
        "trials": trial_count,
        "promoted": promoted,
        "s.e.": float(np.sqrt(promoted * (1 - promoted) / trial_count)),
        "not yet": float(np.mean([verdict.outcome == "not_yet" for verdict in verdicts])),
        "AUC higher": float(np.mean([difference > 0 for difference, _ in delong])),
        "DeLong": float(np.mean([low > 0 for _, low in delong])),
        "failed": ", ".join(f"{name} {count}" for name, count in failures.most_common(4)),
    }


def _scores(scenario: Scenario, rng: Generator) -> PairedScores:
    return binormal(
        rng,
        EXAMPLE_COUNT,
        champion_auc=CHAMPION_AUC,
        challenger_auc=scenario.challenger_auc,
        rows_a_group=scenario.rows_a_group,
    )


def _with_actions(found: Evidence) -> Evidence:
    """Each model decides by its own probability."""
    return replace(
        found,
        champion_actions=actions(expit(found.recent.champion), POLICY),
        challenger_actions=actions(found.challenger_probability, POLICY),
    )


def failed(verdict: Verdict) -> list[str]:
    """The names of the checks that failed."""
    return [check.name for check in verdict.checks if check.status == "failed"]


def measured(verdict: Verdict, name: str) -> tuple[float, float]:
    """What a check measured, and the lower end of its interval."""
    [check] = [check for check in verdict.checks if check.name == name]
    assert check.measured is not None
    assert check.interval is not None
    return check.measured, check.interval[0]


def weighted_training(params: GateParams, rng: Generator) -> list[dict[str, Any]]:
    """The same challenger trained plainly and with frauds weighing as much as all the rest."""
    train, train_labels = generated_rows(60_000, rng)
    recent, recent_labels = generated_rows(EXAMPLE_COUNT, rng)
    old, old_labels = generated_rows(EXAMPLE_COUNT, rng)
    ratio = float(np.sum(train_labels == 0) / np.sum(train_labels == 1))
    champion = _fitted(train, train_labels, 1.0, tree_count=25)
    rows = []
    for name, weight in (("plain", 1.0), ("scale_pos_weight", ratio)):
        challenger = _fitted(train, train_labels, weight, tree_count=100)
        scored = [
            _paired(champion.raw_scores(x), challenger.raw_scores(x), labels, rng)
            for x, labels in ((recent, recent_labels), (old, old_labels))
        ]
        verdict = judge(_with_actions(evidence(*scored)), params)
        rows.append(
            {
                "training": name,
                "outcome": verdict.outcome,
                "AUC gain": measured(verdict, "auc")[0],
                "mean ratio": measured(verdict, "calibration_mean")[0],
                "failed": ", ".join(failed(verdict)),
            }
        )
    return rows


def generated_rows(count: int, rng: Generator) -> tuple[Floats, Ints]:
    """Features (count, FEATURE_COUNT) and labels, about 2 % of them fraud."""
    features = rng.normal(size=(count, FEATURE_COUNT))
    risk = 1.2 * features[:, 0] + 0.8 * np.abs(features[:, 1]) + features[:, 2] * features[:, 3]
    labels = (rng.random(count) < expit(risk + 0.5 * features[:, 4] - 6.2)).astype(np.int64)
    return features, labels


def _fitted(features: Floats, labels: Ints, fraud_weight: float, *, tree_count: int) -> Model:
    """In LightGBM's objective a weight of the frauds is what `scale_pos_weight` is."""
    names = [f"x{i}" for i in range(FEATURE_COUNT)]
    weights = np.where(labels == 1, fraud_weight, 1.0)
    params = FitParams(tree_count=tree_count)
    text = fit(features, labels, params=params, feature_names=names, weights=weights)
    return Model.from_text(f"{tree_count} trees, {fraud_weight:g}", text)


def _paired(champion: Floats, challenger: Floats, labels: Ints, rng: Generator) -> PairedScores:
    count = labels.size
    return PairedScores(
        champion,
        challenger,
        labels,
        np.ones(count),
        np.arange(count),
        np.sort(rng.integers(0, 14, count)),
        rng.lognormal(8, 1.5, count).astype(np.int64),
    )


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
