"""Draw what the soak found: `soak_plot.py soak.json` writes soak.png, in an environment of its own."""

import json
import sys
from pathlib import Path

import matplotlib as mpl  # type: ignore[import-not-found]  # only where this runs

mpl.use("Agg")

from matplotlib import pyplot as plt  # (after its backend is chosen)


def main(result: Path) -> None:
    """The memory over time."""
    found = json.loads(result.read_text())
    samples = found["memory_mb"]["samples"]
    figure, axes = plt.subplots(figsize=(9, 3.6), constrained_layout=True)
    axes.plot(*zip(*samples, strict=True), color="#d9a400")
    axes.set_title(
        f"{found['good']['requests']:,} requests and {found['hostile']['requests']:,} hostile ones: "
        f"memory, MB ({found['memory_mb']['growth']:+.1f} MB after the warm-up)",
        fontsize=10,
        loc="left",
    )
    axes.set(xlabel="seconds", xlim=0)
    axes.set_ylim(0, 1.2 * max(size for _, size in samples))
    axes.grid(color="#e4e6e9")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(result.with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
