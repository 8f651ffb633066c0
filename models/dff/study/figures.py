"""The pictures of a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dff.study.spread import Spread
from dff.whole_files import whole_file

BLUE, RED, GREY = "#1f4e79", "#b0413e", "#9aa5b1"


@dataclass(frozen=True)
class Profile:
    """One line of the layer profile: HR@10 of each single layer that was trained."""

    label: str
    layers: Sequence[int]
    values: Sequence[Spread]


def new_figure(width: float, height: float, *ratios: int):
    """A figure with one axis, or with several below each other that share their x axis."""
    import matplotlib

    matplotlib.use("Agg")  # no display
    from matplotlib import pyplot

    rows = {"nrows": len(ratios), "sharex": True, "height_ratios": ratios} if ratios else {}
    return pyplot.subplots(figsize=(width, height), constrained_layout=True, **rows)


def save(figure, path: Path) -> Path:
    from matplotlib import pyplot

    with whole_file(path) as partial:
        figure.savefig(partial, dpi=120, format="png")
    pyplot.close(figure)
    return path


def draw_bars(names: Sequence[str], values: Sequence[Spread], fused: Sequence[bool], path: Path) -> Path:
    """HR@10 of every arm with the deviation over seeds; fused arms in another colour."""
    figure, axis = new_figure(9, 0.9 + 0.3 * len(names))
    places = range(len(names))
    axis.barh(
        places,
        [value.mean for value in values],
        xerr=[value.deviation for value in values],
        color=[BLUE if flag else GREY for flag in fused],
        ecolor=RED,
        capsize=3,
    )
    axis.set_yticks(places, names)
    axis.invert_yaxis()
    axis.set_xlabel("HR@10 on test; the whiskers are one standard deviation over seeds")
    return save(figure, path)


def draw_profile(
    profiles: Sequence[Profile], levels: Sequence[tuple[str, float]], weights: Sequence[Spread], names: Sequence[str], path: Path
) -> Path:
    """HR@10 by layer as lines, other arms as levels, and under them the weights that DFF learned; dotted: all the same."""
    figure, (axis, below) = new_figure(9, 5.6, 3, 1)
    for profile, colour in zip(profiles, (BLUE, RED), strict=False):
        axis.errorbar(
            profile.layers,
            [value.mean for value in profile.values],
            [value.deviation for value in profile.values],
            color=colour,
            marker="o",
            capsize=3,
            label=profile.label,
        )
    for (label, level), dashes in zip(levels, ((4, 2), (1, 1), (6, 2, 1, 2)), strict=False):
        axis.axhline(level, color="#444444", linewidth=1, dashes=dashes, label=label)
    axis.set_ylabel("HR@10 on test")
    axis.legend(fontsize=8, ncols=2)
    below.bar(
        range(len(weights)),
        [weight.mean for weight in weights],
        yerr=[weight.deviation for weight in weights],
        color=GREY,
        ecolor=RED,
        capsize=3,
    )
    below.axhline(1 / len(names), color="#444444", linewidth=1, dashes=(1, 1))
    below.set_ylabel("learned weight")
    step = max(1, len(names) // 16)
    slanted = {"rotation": 45, "ha": "right"} if len(names) > 8 else {}
    below.set_xticks(range(0, len(names), step), names[::step], **slanted)
    return save(figure, path)
