"""Average precision week by week, drawn; matplotlib comes with the extra `bench`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.handbook_online import Week


def draw(weeks: Mapping[str, Sequence[Week]], path: Path) -> None:
    """A line for each strategy, into an SVG or PNG file by its ending."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for name, line in weeks.items():
        days = [week.first_day for week in line]
        axes.plot(days, [week.average_precision for week in line], marker="o", label=name)
    axes.set_xlabel("first day of the week, since the file begins")
    axes.set_ylabel("average precision of the week")
    axes.set_title("Tested, then trained, with labels a week late")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)
    pyplot.close(figure)
