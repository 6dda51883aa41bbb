"""A report as JUnit XML, read as CI tools read it."""

from xml.etree import ElementTree as ET

from headway.check import junit
from headway.check.report import Case, Report
from headway.errors import Exit


def report() -> Report:
    good = Case("mood", "python", "alone", seconds=0.25, notes=["all well"])
    bad = Case(
        "mood", "server/v2", "alone", problems=["sample 1: x < y & z", "sample 2: \x00\ud800"]
    )
    drifted = Case("mood", "schema", "drift", changed=["input.text: is gone"])
    warned = Case("digits", "model", "load", warnings=["no docstring"], seconds=1.5)
    left_out = Case("digits", "server/v2", "among others", skipped="FP16 is binary only")
    return Report([good, bad, drifted, warned, left_out])


def test_the_xml_has_what_ci_tools_read() -> None:
    """The structure of Jenkins' junit-10.xsd: counts on suites, one child for a case's outcome."""
    root = ET.fromstring(junit.render(report()))
    assert root.tag == "testsuites"
    assert root.attrib["tests"] == "5"
    assert root.attrib["failures"] == "2"
    suites = {suite.attrib["name"]: suite for suite in root}
    assert {suite.tag for suite in root} == {"testsuite"}
    assert list(suites) == ["mood", "digits"]
    for suite in root:
        cases = list(suite)
        assert {case.tag for case in cases} == {"testcase"}
        assert int(suite.attrib["tests"]) == len(cases)
        assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
        assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped"))
        assert suite.attrib["errors"] == "0"
        assert float(suite.attrib["time"]) == sum(float(c.attrib["time"]) for c in cases)
        assert all(case.attrib["name"] and case.attrib["classname"] for case in cases)
        assert all(len(case.findall("failure") + case.findall("skipped")) <= 1 for case in cases)


def test_texts_survive_and_what_xml_can_not_hold_becomes_a_question_mark() -> None:
    root = ET.fromstring(junit.render(report()))
    (failure, drift) = root.iter("failure")
    assert failure.attrib["message"] == "sample 1: x < y & z"
    assert failure.text == "sample 1: x < y & z\nsample 2: ??"
    assert drift.attrib["message"] == "input.text: is gone"
    assert [e.text for e in root.iter("system-out")] == ["all well", "warning: no docstring"]


def test_what_is_being_accepted_is_no_failure() -> None:
    accepting = report()
    accepting.is_accepting = True
    assert ET.fromstring(junit.render(accepting)).attrib["failures"] == "1"


def test_the_exit_code_tells_a_model_that_can_not_be_loaded_from_one_that_disagrees() -> None:
    assert Report([Case("a", "python", "alone")]).code == Exit.OK
    assert Report([Case("a", "model", "load", ["no"])]).code == Exit.MODEL
    assert report().code == Exit.MISSED
    assert Report([Case("a", "schema", "drift", changed=["x"])]).code == Exit.MISSED
