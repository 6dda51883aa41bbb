"""Jobs under faults that take their time."""

import time
from pathlib import Path

import pytest
from serving import JSON, call, wait_until
from test_jobs import begin, starting_two, wait_for
from test_serve_gateways import connections

pytestmark = pytest.mark.timeout(120)


def test_a_worker_that_has_a_job_of_another_gateway_is_not_taken_for_hanging(
    tmp_path: Path,
) -> None:
    """What any gateway's requests may take is over, and ten seconds more; the job has longer."""
    flags = ["--timeout-s", "0.2", "--hang-kill-s", "1", "--job-timeout-s", "60"]
    with starting_two(tmp_path, *flags) as server, connections(server) as (first, second):
        (worker,) = server.workers("gate")
        path = begin(server, {"text": "long", "until": "long"}, connection=first)
        server.wait_for_line("entered.txt", "long")
        late = call(second, "POST", "/models/gate/predict", b'{"text":"x"}', JSON)
        assert late.code == "deadline"
        since = time.monotonic()
        wait_until(lambda: time.monotonic() - since > 15, "it would have been ended")
        assert server.workers("gate") == [worker]
        server.path("long").touch()
        wait_for(server, path, "succeeded")
