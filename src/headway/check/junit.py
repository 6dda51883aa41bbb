"""A report as JUnit XML, as CI tools read it: a suite for each model, a case for each thing that was looked at."""

import re
from typing import Final
from xml.etree import ElementTree as ET

from headway.check.report import Case, Report

_NOT_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 can't hold, section 2.2."""


def render(report: Report) -> bytes:
    """The report's bytes."""
    root = ET.Element("testsuites", name="headway check")
    for model in report.models:
        cases = report.of(model)
        suite = ET.SubElement(root, "testsuite", name=_clean(model))
        for case in cases:
            suite.append(_case(report, case))
        _count(suite, cases, report)
    _count(root, report.cases, report)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _count(element: ET.Element, cases: list[Case], report: Report) -> None:
    element.set("tests", str(len(cases)))
    element.set("failures", str(sum(bool(report.failures(case)) for case in cases)))
    element.set("errors", "0")
    element.set("skipped", str(sum(bool(case.skipped) for case in cases)))
    element.set("time", f"{sum(case.seconds for case in cases):.3f}")


def _case(report: Report, case: Case) -> ET.Element:
    classname = _clean(f"{case.model}.{case.form}")
    element = ET.Element("testcase", classname=classname, name=_clean(case.name))
    element.set("time", f"{case.seconds:.3f}")
    failures = report.failures(case)
    if failures:
        failure = ET.SubElement(element, "failure", message=_clean(failures[0]), type="parity")
        failure.text = _clean("\n".join(failures))
    elif case.skipped:
        ET.SubElement(element, "skipped", message=_clean(case.skipped))
    said = [*(f"warning: {w}" for w in case.warnings), *case.notes]
    if said:
        ET.SubElement(element, "system-out").text = _clean("\n".join(said))
    return element


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
