"""Draws a JSON result of devtools/bench gateway, peers, latency, pipeline or scale as an SVG.

    plot.py RESULT.json OUT.svg
"""
import json
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 760, 360, 60, 40, 60
COLOURS = ("#1f6fb4", "#d9822b", "#3a9a5b", "#8a5ab5", "#b03a48", "#777777")
PALE = ("#a8c8e4", "#f0cda8", "#b2d8bf", "#d3c0e4", "#e0b0b6", "#cccccc")  # a floor, beside its bar


def bars(result):
    """(title, unit, {group: {series: value}}) of a result."""
    what, groups = result["bench"], {}
    rows = result["results"]
    if what == "gateway":
        for r in rows:
            groups.setdefault(str(r["size"]), {})[r["direction"]] = r["net_ns"]["median"]
        return "port500, one worker: CPU time without the devices", "ns a packet", groups
    if what == "peers":
        for r in rows:
            if r["part"] == "dpdk":
                group = groups.setdefault(f"{r['size']} {r['direction']}, {r['tunnels']}", {})
                group["port500"] = r["port500_net_ns"]["median"]
                group[r["peer"]] = r["peer_net_ns"]["median"]
        if not groups:
            return "Stages and nodes without I/O (size, way, SAs)", "ns a packet", vpp_bars(rows)
        return "CPU time without the devices (size, way, tunnels)", "ns a packet", groups
    if what == "pipeline":
        for r in rows:
            if r["suite"] == "aes128gcm16":
                group = groups.setdefault(f"{r['bytes']} {r['direction']}", {})
                group[f"path, {r['sas']:,}"] = r["path_ns"]
                group[f"floor, {r['sas']:,}"] = r["floor_ns"]
        return "The worker's path and the raw crypto under it by SAs, aes128gcm16", "ns a packet", groups
    if what == "scale":
        for r in rows:
            if r["part"] == "sas":
                group = groups.setdefault(f"{r['sas']:,}", {})
                group[r["direction"]] = r["path_ns"]
                group[f"floor {r['direction']}"] = r["floor_ns"]
        return "By the number of SAs: 64 bytes, aes128gcm16", "ns a packet", groups
    for r in rows:
        name = f"{r['size']}, {r['per_cent_of_highest']} %"
        groups[name] = {f"{k} %": v for k, v in r["us"].items() if float(k) <= 99}
    return "A packet's time through port500 (size, share of the highest rate)", "us", groups


def colours(series):
    """One for each series; a floor has the pale one of what stands before it."""
    result, i = {}, -1
    for s in series:
        i += not s.startswith("floor")
        result[s] = (PALE if s.startswith("floor") else COLOURS)[i % len(COLOURS)]
    return result


def vpp_bars(rows):
    return {f"{r['size']} {r['direction']}, {r['tunnels']}":
            {"raw crypto": r["floor_ns"]["median"], "port500": r["port500_ns"]["median"],
             "vpp": r["peer_ns"]["median"]} for r in rows if r["part"] == "vpp"}


def svg(title, unit, groups):
    series = list(dict.fromkeys(s for g in groups.values() for s in g))
    top = max(v for g in groups.values() for v in g.values())
    plot_height, step = HEIGHT - TOP - BOTTOM, (WIDTH - LEFT - 10) / len(groups)
    colour = colours(series)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>',
           f'<text x="{LEFT}" y="16" font-size="13">{escape(title)}</text>']
    for i in range(5):
        y = TOP + plot_height * (1 - i / 4)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * i / 4:.3g}</text>')
    out.append(f'<text x="8" y="{TOP - 10}">{escape(unit)}</text>')
    for g, (name, values) in enumerate(groups.items()):
        wide = step * 0.8 / len(series)
        for s, value in values.items():
            i, high = series.index(s), plot_height * value / top
            x = LEFT + g * step + step * 0.1 + i * wide
            out.append(f'<rect x="{x:.1f}" y="{TOP + plot_height - high:.1f}" width="{wide:.1f}" '
                       f'height="{high:.1f}" fill="{colour[s]}"><title>'
                       f'{escape(f"{name} {s}: {value:.1f} {unit}")}</title></rect>')
        x, y = LEFT + (g + 0.5) * step, TOP + plot_height + 12
        out.append(f'<text x="{x:.1f}" y="{y}" text-anchor="end" font-size="9" '
                   f'transform="rotate(-30 {x:.1f} {y})">{escape(name)}</text>')
    for i, s in enumerate(series):
        x = LEFT + (WIDTH - LEFT) / max(len(series), 5) * i
        out.append(f'<rect x="{x}" y="22" width="10" height="10" fill="{colour[s]}"/>'
                   f'<text x="{x + 14}" y="31">{escape(s)}</text>')
    return "\n".join(out) + "\n</svg>\n"


def draw(result_path, svg_path):
    with open(result_path, encoding="utf-8") as f:
        result = json.load(f)
    with open(svg_path, "w", encoding="utf-8") as f:
        f.write(svg(*bars(result)))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    draw(sys.argv[1], sys.argv[2])


if __name__ == "__main__":
    main()
