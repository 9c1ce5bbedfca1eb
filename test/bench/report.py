"""Tables of docs/benchmarks, written anew from what was measured.

In a page a table stands between <!-- table NAME --> and <!-- end -->; the text around it is written
by hand.
"""
import os
import re

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "benchmarks")


def table(head, rows):
    """Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(x) for x in r) + " |" for r in rows]


def renew(text, name, lines):
    """The page with one table replaced; the page has to have it."""
    begin = f"<!-- table {name} -->"
    pattern = re.compile(re.escape(begin) + r"\n.*?<!-- end -->", re.S)
    if not pattern.search(text):
        raise SystemExit(f"docs/benchmarks: no page has a place for the table '{name}': "
                         f"put {begin} and <!-- end --> where it belongs")
    return pattern.sub(lambda _: begin + "\n" + "\n".join(lines) + "\n<!-- end -->", text)


def renew_page(page, tables):
    """Puts {name: lines} into docs/benchmarks/PAGE."""
    path = os.path.join(DOCS, page)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for name, lines in tables.items():
        text = renew(text, name, lines)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def give_back():
    """Measuring takes root, but what was written belongs to whose tree it is."""
    owner = os.stat(DOCS)
    for folder in (DOCS, os.path.join(DOCS, "data")):
        for name in os.listdir(folder):
            os.chown(os.path.join(folder, name), owner.st_uid, owner.st_gid)


def data(name):
    return os.path.join(DOCS, "data", name)


def sas(n):
    return f"{n:,} SA" + ("s" if n > 1 else "")


def machine_table(m, library=None):
    rows = [("processor", f"{m['cpu']}, {m['cpus']} CPUs"), ("kernel", m["kernel"]),
            ("versions", f"DPDK {m['dpdk']}, {library or 'intel-ipsec-mb ' + m['intel-ipsec-mb']}"),
            ("hugepages", "yes" if m["hugepages"] else "no"),
            ("load when it ended", f"{m['load']:.1f}")]
    return table(("", ""), rows)
