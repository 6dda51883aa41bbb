"""What every fault test can use: `figures`, which takes down what it measures; and what each file took, in the end."""

import os
from collections import defaultdict
from pathlib import Path

import pytest
from harness.figures import Figures


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Takes this test's figures down, in the file that FAULTS_FIGURES names if there is one."""
    path = os.environ.get("FAULTS_FIGURES")
    return Figures(request.node.nodeid, Path(path) if path else None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each file took."""
    took_s: defaultdict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                took_s[report.nodeid.partition("::")[0]] += report.duration
    for name, seconds in sorted(took_s.items(), key=lambda item: -item[1]):
        terminalreporter.write_line(f"{seconds:7.1f} s  {name}")
