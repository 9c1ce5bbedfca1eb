"""Fixtures for the system tests: networks of namespaces and the gateways in them."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "netns"))

pytest.register_assert_rewrite("peers")

from gateways import Charon, Port500  # noqa: E402
from topology import A, B, Network, prefix_of_tests  # noqa: E402


@pytest.fixture
def net():
    """A fresh network with nothing running in it."""
    with Network(prefix_of_tests()) as n:
        yield n


@pytest.fixture(scope="class")
def shared_net():
    """The same, for all tests of one class."""
    with Network(prefix_of_tests()) as n:
        yield n


@pytest.fixture(scope="class")
def pair(shared_net, tmp_path_factory):
    """Two port500 gateways with their tunnel up, for all tests of one class."""
    d = tmp_path_factory.mktemp("pair")
    b = Port500(shared_net, B, d).start()
    a = Port500(shared_net, A, d).start()
    a.wait_child()
    b.wait_child()
    return a, b


@pytest.fixture
def a(net, tmp_path):
    return Port500(net, A, tmp_path)


@pytest.fixture
def b(net, tmp_path):
    return Port500(net, B, tmp_path)


@pytest.fixture
def charon_a(net, tmp_path):
    return Charon(net, A, tmp_path)


@pytest.fixture
def charon_b(net, tmp_path):
    return Charon(net, B, tmp_path)


def recorded(reporter, name):
    """What tests recorded under a name, whether they passed or not."""
    return [dict(value) for outcome in ("passed", "failed")
            for report in reporter.stats.get(outcome, [])
            if getattr(report, "when", "") == "call"
            for key, value in report.user_properties if key == name]


def write_table(reporter, title, rows):
    width = {column: max(len(column), *(len(r[column]) for r in rows)) for column in rows[0]}
    reporter.section(title)
    for r in [{column: column for column in width}, *rows]:
        reporter.write_line("  ".join(r[c].ljust(width[c]) for c in width).rstrip())


def pytest_terminal_summary(terminalreporter):
    """The rows that test_matrix.py and test_faults.py recorded, as tables."""
    for name, title in (("matrix", "port500 and strongSwan"), ("fault", "the doctor's answers")):
        rows = recorded(terminalreporter, name)
        if rows:
            write_table(terminalreporter, title, rows)
        if rows and name == "fault":
            right = sum(r["right"] == "yes" for r in rows)
            terminalreporter.write_line(
                f"{right} of {len(rows)} answers right, on {len({r['fault'] for r in rows})} faults")
