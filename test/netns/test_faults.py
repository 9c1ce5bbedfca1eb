"""The fault laboratory: each row of faults_lab.FAULTS, and the score at the end.

The table and the score are printed with the summary of the run.
"""
import pytest

from faults_lab import FAULTS, Lab, has_doctor, knows
from topology import Network, prefix_of_tests, wait_for


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    with Network(prefix_of_tests()) as net:
        yield Lab(net, tmp_path_factory.mktemp("faults"))


def ask(lab, fault, side):
    """What the doctor of one side must say, does say, and where they differ."""
    must = getattr(fault, side)
    if must is None or not has_doctor() or (must.probe and not has_doctor("--probe")):
        return None
    answer = lab.doctor(getattr(lab, side), must.probe)
    return must, answer, must.misses(answer)


@pytest.mark.parametrize("fault", FAULTS, ids=[f.name for f in FAULTS])
def test_fault(laboratory, fault, record_property):
    lab = laboratory
    lab.name, lab.since = fault.name, None
    wrong = []
    if fault.needs and not knows(lab, fault.needs):
        pytest.skip(f"this build has no {fault.needs}")
    try:
        lab.begin(fault)
        fault.hurt(lab)
        wait_for(f"the symptom of '{fault.name}'", lambda: fault.symptom(lab), fault.wait_s, 0.1)
        for side in "ab":
            asked = ask(lab, fault, side)
            if not asked:
                continue
            must, answer, misses = asked
            record_property("fault", {
                "fault": fault.name, "side": side.upper(), "must": f"{must.code} ({must.owner})",
                "says": f"{answer['code']} ({answer['owner']}) {answer['status']}",
                "right": "no" if misses else "yes"})
            if misses:
                wrong.append(f"{side.upper()}: {misses}\n{answer['verdict']}\n" + "\n".join(
                    f"  {name}: {r['state']} {r['code']}: {r['evidence']}"
                    for name, r in answer["rungs"].items()))
        lab.mend(fault)
        if fault.recovers:
            lab.works()
    finally:
        lab.end()
    assert not wrong, "\n".join(wrong)
