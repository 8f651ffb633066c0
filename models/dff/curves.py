"""Draws how training went."""

from pathlib import Path

from dff.checkpoint import Progress
from dff.whole_files import whole_file


def draw_curves(progress: Progress, measure: str, path: Path) -> None:
    """Training loss and the measure on valid that chose the epoch, as one PNG."""
    import matplotlib

    matplotlib.use("Agg")  # no display
    from matplotlib import pyplot

    epochs = range(1, len(progress.curve) + 1)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.2), constrained_layout=True)
    left.plot(epochs, [point["loss"] for point in progress.curve], color="#1f4e79")
    left.set(title="training loss", xlabel="epoch")
    right.plot(epochs, [point[measure] for point in progress.curve], color="#1f4e79")
    right.axvline(progress.best_epoch, color="#b0413e", linewidth=1, label=f"chosen: epoch {progress.best_epoch}")
    right.set(title=f"{measure.upper()} on valid", xlabel="epoch")
    right.legend()
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=120, format="png")
    pyplot.close(figure)
