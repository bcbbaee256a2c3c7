"""Write the table and the plots."""

import collections

import matplotlib
import numpy as np

from .methods import KINDS, METHODS

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

METRICS = {
    "frame accuracy": ("Fram-Acc", 2, "higher"),
    "temporal consistency": ("Tem-Con", 3, "higher"),
    "background error": ("background error", 1, "lower"),
    "ideal PSNR": ("PSNR to ideal", 1, "higher"),
    "warp error": ("warp error", 1, "lower"),
}
"""Key in the results: heading, digits, which way is better."""


def values(results, method, metric, kind=None):
    return [entry[metric] for entry in results["edits"] if entry["method"] == method and metric in entry
            and (kind is None or entry["kind"] == kind)]


def cell(numbers, digits):
    return f"{np.mean(numbers):.{digits}f} ± {np.std(numbers):.{digits}f}" if numbers else "-"


def table(results, kind=None):
    heads = [heading for heading, _, _ in METRICS.values()]
    lines = ["| method | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for key, method in METHODS.items():
        cells = [cell(values(results, key, metric, kind), digits) for metric, (_, digits, _) in METRICS.items()]
        if any(text != "-" for text in cells):
            lines.append(f"| {method.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write(results, document, images):
    """Put the tables between the markers of the document and the plots into `images`."""
    parts = [f"{results['clips']} clips of {results['frames']} frames, {results['steps']} steps, guidance "
             f"{results['guidance']}. Mean ± standard deviation over clips.", "### All edits", table(results)]
    for kind in KINDS:
        parts += [f"### {kind.capitalize()}", table(results, kind)]
    images.mkdir(parents=True, exist_ok=True)
    for metric, (heading, _, better) in METRICS.items():
        path = images / f"quality-{metric.replace(' ', '-')}.png"
        plot(results, metric, f"{heading} ({better} is better)", path)
        parts.append(f"![{heading}](images/{path.name})")
    source = results["source"]
    parts += ["### The source itself", "Inversion and generation with the source's own prompt and guidance 1, nothing "
              f"fused: {cell(source['inverted'], 1)} dB PSNR; the autoencoder alone: "
              f"{cell(source['autoencoder'], 1)} dB."]
    begin, end = "<!-- results -->\n", "<!-- end of results -->"
    text = document.read_text()
    before, rest = text.split(begin)
    document.write_text(before + begin + "\n" + "\n\n".join(parts) + "\n\n" + end + rest.split(end)[1])



def plot(results, metric, title, path):
    """Bars for each kind of edit, one for each method, the spread as a line."""
    figure, axes = pyplot.subplots(figsize=(8, 3.2), dpi=110)
    width = 0.8 / len(METHODS)
    for index, (key, method) in enumerate(METHODS.items()):
        bars = collections.defaultdict(list)
        for position, kind in enumerate(KINDS):
            numbers = values(results, key, metric, kind)
            if numbers:
                bars["x"].append(position + (index - (len(METHODS) - 1) / 2) * width)
                bars["mean"].append(np.mean(numbers))
                bars["spread"].append(np.std(numbers))
        if bars:
            axes.bar(bars["x"], bars["mean"], width, yerr=bars["spread"], label=method.title,
                     error_kw={"elinewidth": 0.8, "ecolor": "gray"})
    axes.set_xticks(range(len(KINDS)), KINDS)
    axes.set_title(title, fontsize=10)
    if metric == "frame accuracy":
        axes.set_ylim(0, 1)
    elif metric != "temporal consistency":
        axes.set_ylim(bottom=0)
    lowest = min((min(values(results, key, metric, kind), default=np.inf) for key in METHODS for kind in KINDS))
    if metric == "temporal consistency":
        axes.set_ylim(bottom=max(0, lowest - 0.05), top=1)
    axes.legend(fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False)
    figure.savefig(path, bbox_inches="tight")
    pyplot.close(figure)
