"""Loss curves as an SVG file, without a plotting library."""

from pathlib import Path

WIDTH, HEIGHT, MARGIN = 420, 240, 46
COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")


def _polyline(points, low, high, end, color):
    span = max(high - low, 1e-9)
    coordinates = " ".join(
        f"{MARGIN + x / end * (WIDTH - 60):.1f},"
        f"{HEIGHT - MARGIN + 16 - (y - low) / span * (HEIGHT - 80):.1f}" for x, y in points)
    return f'<polyline fill="none" stroke="{color}" points="{coordinates}"/>'


def _panel(name, history):
    keys = sorted({key for row in history for key in row} - {"minutes", "items"})
    series = {key: [(row["minutes"], row[key]) for row in history if key in row] for key in keys}
    end = max(row["minutes"] for row in history) or 1
    out = [f'<text x="{MARGIN}" y="18" font-weight="bold">{name}</text>']
    for number, (key, points) in enumerate(series.items()):
        color, values = COLORS[number % len(COLORS)], sorted(y for _, y in points)
        low, high = values[0], values[int(0.97 * (len(values) - 1))]  # clip the first steps
        points = [(x, min(y, high)) for x, y in points]
        out.append(_polyline(points, low, high, end, color))
        out.append(f'<text x="{MARGIN + 130}" y="{18 + 13 * number}" fill="{color}">{key}: '
                   f'{low:.3g} to {high:.3g}</text>')
    out.append(f'<text x="{MARGIN}" y="{HEIGHT - 8}">0 to {end:.1f} minutes; each curve on its own '
               'scale</text>')
    return out


def write_curves(path, histories):
    """histories: {stage: [{"minutes", "items", curve: value}, ...]}"""
    histories = {name: rows for name, rows in histories.items() if rows}
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * WIDTH}" '
             f'height="{HEIGHT * ((len(histories) + 1) // 2)}" font-family="sans-serif" '
             'font-size="11"><rect width="100%" height="100%" fill="white"/>']
    for number, (name, history) in enumerate(histories.items()):
        x, y = number % 2 * WIDTH, number // 2 * HEIGHT
        lines += [f'<g transform="translate({x},{y})">', *_panel(name, history), "</g>"]
    Path(path).write_text("\n".join(lines + ["</svg>"]) + "\n")
