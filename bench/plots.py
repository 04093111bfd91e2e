#!/usr/bin/env python3
"""Tables and plots of bench/peer.sh's results, with Python's standard library alone.

  bench/plots.py table OURS.json PEER.json      one pair as a table
  bench/plots.py collect FOLDER                 all pairs of a folder as one JSON object, to stdout
  bench/plots.py draw FIGURES.json              FIGURES-ratios.svg and FIGURES-limits.svg beside it, as in docs/PERFORMANCE.md
"""

import json
import pathlib
import sys
from xml.sax.saxutils import escape

# What is shown of each pair, and the ratio that was asked for (docs/PERFORMANCE.md).
ROWS = [
    ("8bit-packed", "decode 1", "decode, 8 bits", 1.3),
    ("4bit-packed", "decode 1", "decode, 4 bits", 1.4),
    ("bf16", "decode 1", "decode, bfloat16", 0.98),
    ("8bit-packed", "decode 8", "decode, 8 sequences, 8 bits", 3),
    ("8bit-packed", "prefill 128", "prompt of 128, 8 bits", 3),
    ("8bit-packed", "prefill 512", "prompt of 512, 8 bits", 3),
    ("bf16", "prefill 128", "prompt of 128, bfloat16", 2),
    ("bf16", "prefill 512", "prompt of 512, bfloat16", 2),
    ("8bit-packed", "start", "start, 8 bits", 2),
    ("q8_0.gguf", "decode 1", "decode, Q8_0 file itself", 1.3),
    ("q4_0.gguf", "decode 1", "decode, Q4_0 file itself", 1.4),
]


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def ratio(ours, theirs):
    """How many times as fast as theirs ours is."""
    return theirs["median"] / ours["median"] if ours["unit"] == "s" else ours["median"] / theirs["median"]


def figure(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 1 else f"{value:.4f}"


def pairs_of(ours, peer):
    of_peer = {(result["work"], result["threads"]): result for result in peer["results"]}
    for result in ours["results"]:
        theirs = of_peer.get((result["work"], result["threads"]))
        if theirs is not None:
            yield result, theirs


def table(ours_path, peer_path):
    ours, peer = read(ours_path), read(peer_path)
    print(f"{ours['processor']}, kernels {ours['kernels']}, weights read at "
          + ", ".join(f"{rate:.1f}" for rate in ours["read_gb_per_s"]) + " GB/s")
    print(f"{'work':<14}{'threads':>8}{'unit':>10}{'median':>10}{'least to most':>22}{'of limit':>10}"
          f"{peer['program']:>22}{'ratio':>8}")
    for result, theirs in pairs_of(ours, peer):
        share = f"{100 * result['median'] / result['limit']:.0f} %" if result.get("limit") else ""
        spread = f"{figure(result['least'])} to {figure(result['most'])}"
        print(f"{result['work']:<14}{result['threads']:>8}{result['unit']:>10}{figure(result['median']):>10}{spread:>22}"
              f"{share:>10}{figure(theirs['median']):>22}{ratio(result, theirs):>8.2f}")


def collect(folder):
    figures = {"pairs": []}
    for ours_path in sorted(pathlib.Path(folder).glob("*.ours.json")):
        ours = read(ours_path)
        peer = read(ours_path.with_name(ours_path.name.replace(".ours.", ".peer.")))
        figures["processor"] = ours["processor"]
        figures["peer"] = peer["program"]
        figures["pairs"].append({
            "ours": ours_path.name.split(".ours.")[0].split("@")[0],
            "kernels": ours["kernels"],
            "read_gb_per_s": ours["read_gb_per_s"],
            "results": [{"work": result["work"], "threads": result["threads"], "ours": result, "peer": theirs}
                        for result, theirs in pairs_of(ours, peer)],
        })
    json.dump(figures, sys.stdout, indent=1)
    print()


class Chart:
    """Horizontal bars, one under the other."""

    WIDTH, LEFT, ROW, TOP = 760, 230, 26, 56

    def __init__(self, title, note, largest):
        self.title, self.note, self.largest = title, note, largest
        self.parts = []
        self.n_rows = 0

    def x(self, value):
        return self.LEFT + (self.WIDTH - self.LEFT - 70) * value / self.largest

    def bar(self, label, value, text, target=None):
        y = self.TOP + self.ROW * self.n_rows
        self.n_rows += 1
        self.parts.append(f'<text x="{self.LEFT - 10}" y="{y + 15}" text-anchor="end">{escape(label)}</text>')
        self.parts.append(f'<rect class="bar" x="{self.LEFT}" y="{y + 3}" width="{self.x(value) - self.LEFT:.1f}" height="16"/>')
        self.parts.append(f'<text x="{max(self.x(value), self.x(target or 0)) + 6:.1f}" y="{y + 15}">{escape(text)}</text>')
        if target is not None:
            self.parts.append(f'<line class="target" x1="{self.x(target):.1f}" x2="{self.x(target):.1f}" y1="{y}" y2="{y + 22}"/>')

    def svg(self):
        height = self.TOP + self.ROW * self.n_rows + 12
        style = ("text{font:13px sans-serif;fill:#222}.title{font-weight:bold;font-size:15px}.note{fill:#555}"
                 ".bar{fill:#3b6ea8}.target{stroke:#c0392b;stroke-width:2}"
                 "@media(prefers-color-scheme:dark){text{fill:#ddd}.note{fill:#aaa}.bar{fill:#6f9fd8}.target{stroke:#ff8a75}}")
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.WIDTH} {height}" role="img">',
            f"<title>{escape(self.title)}</title>", f"<style>{style}</style>",
            f'<text class="title" x="10" y="22">{escape(self.title)}</text>',
            f'<text class="note" x="10" y="42">{escape(self.note)}</text>', *self.parts, "</svg>", ""])


def draw(figures_path):
    figures = read(figures_path)
    beside = pathlib.Path(figures_path).with_suffix("")
    kernels = figures["pairs"][0]["kernels"].split()[0]
    results = {(pair["ours"], result["work"]): result
               for pair in figures["pairs"] for result in pair["results"] if result["threads"] == 1}
    shown = [(label, target, results[ours, work]) for ours, work, label, target in ROWS if (ours, work) in results]
    ratios = [(label, target, ratio(result["ours"], result["peer"])) for label, target, result in shown]
    chart = Chart("Times as fast as llama.cpp, one thread", f"{figures['processor']}, kernels {kernels}; a line marks what was asked for",
                  max(max(value, target) for _, target, value in ratios))
    for label, target, value in ratios:
        chart.bar(label, value, f"{value:.2f}", target)
    pathlib.Path(f"{beside}-ratios.svg").write_text(chart.svg(), encoding="utf-8")

    shares = [(label, result["ours"]["median"] / result["ours"]["limit"])
              for label, _, result in shown if result["ours"].get("limit")]
    chart = Chart("Share of what the machine allows, one thread",
                  "decoding: the weights' bytes at the rate they are read; prompts: the peak of each product's unit",
                  max(1.1, *(share for _, share in shares)))
    for label, share in shares:
        chart.bar(label, share, f"{100 * share:.0f} %")
    pathlib.Path(f"{beside}-limits.svg").write_text(chart.svg(), encoding="utf-8")


COMMANDS = {"table": (table, 2), "collect": (collect, 1), "draw": (draw, 1)}

if __name__ == "__main__":
    name, arguments = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if name not in COMMANDS or len(arguments) != COMMANDS[name][1]:
        sys.exit(__doc__)
    COMMANDS[name][0](*arguments)
