"""Two bar charts as one SVG file: the webhook route by number of connections, and the worker loops."""

import html

from . import targets

COLOURS = ["#1f6f54", "#4a7fb5", "#b5803a", "#8a8a8a", "#7c5a9b", "#a34b4b", "#5b9aa0", "#6b6b3f"]
WIDTH, BAR, GAP, LEFT, RIGHT = 860, 16, 6, 250, 90


class Canvas:
    def __init__(self):
        self.y = 20
        self.items = []

    def text(self, x, y, text, anchor="start", size=12, weight="normal"):
        self.items.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}">'
            f"{html.escape(text)}</text>")

    def title(self, text):
        self.y += 14
        self.text(10, self.y, text, size=15, weight="bold")
        self.y += 14

    def bars(self, rows, largest):
        """Rows of (label, value, colour)."""
        for label, value, colour in rows:
            width = (WIDTH - LEFT - RIGHT) * value / largest
            self.text(LEFT - 8, self.y + BAR - 4, label, anchor="end")
            self.items.append(
                f'<rect x="{LEFT}" y="{self.y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{colour}"/>')
            self.text(LEFT + width + 6, self.y + BAR - 4, f"{value:,.0f}")
            self.y += BAR + GAP
        self.y += 8

    def document(self):
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.y + 10}" '
            'font-family="system-ui, sans-serif" fill="#222">',
            f'<rect width="{WIDTH}" height="{self.y + 10}" fill="#fff"/>', *self.items, "</svg>", ""])


def draw(results):
    """The chart of a run's medians; empty where nothing of a part was measured."""
    canvas = Canvas()
    route = results.get("route", {})
    variants = list(dict.fromkeys(variant for samples in route.values() for variant in samples))
    values = [targets.median(results, "route", name, variant) or 0 for name in route for variant in variants]
    if values:
        canvas.title("Webhook route: signed, stored in a quorum queue, confirmed, 202 (requests per second)")
        for variant in variants:
            rows = [(f"{name}, {variant}", targets.median(results, "route", name, variant), COLOURS[index])
                    for index, name in enumerate(route) if targets.median(results, "route", name, variant)]
            canvas.bars(rows, max(values))
    loops = [(name, targets.median(results, "loop", name, "rate")) for name in results.get("loop", {})]
    loops += [(name, targets.median(results, "booking", name, "rate")) for name in results.get("booking", {})]
    loops = [(name, value) for name, value in loops if value]
    if loops:
        canvas.title("Worker loop: inbox and effect in one transaction, then ack (messages per second)")
        canvas.bars([(name, value, COLOURS[index % len(COLOURS)]) for index, (name, value) in enumerate(loops)],
                    max(value for _, value in loops))
    return canvas.document()
