"""Serve the examples as a user would, ask one question, show the answer and what to try next."""

import json
import os
import select
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TIMEOUT_S = 60
READY_TIMEOUT_S = 120


def main() -> int:
    """Serve until Ctrl-C, or until the question is answered where HEADWAY_DEMO_ONCE is 1."""
    is_once = os.environ.get("HEADWAY_DEMO_ONCE") == "1"
    port = ["--port", "0"] if is_once else []
    command = [sys.executable, "-m", "headway", "serve", str(EXAMPLES), *port]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = read_line(server, READY_TIMEOUT_S)
            if not line:
                return server.wait() or 1
            ask(json.loads(line)["http"])
            return end(server) if is_once else server.wait()
        except KeyboardInterrupt:
            return server.wait()
        finally:
            if server.poll() is None:
                server.terminate()


def read_line(server: "subprocess.Popen[str]", timeout_s: float) -> str:
    """The line that says that the server is ready; "" if it ended before.

    Raises:
        SystemExit: it took too long.
    """
    if server.stdout is None or not select.select([server.stdout], [], [], timeout_s)[0]:
        sys.exit(f"the server was not ready within {timeout_s:g} s; its log is above")
    return server.stdout.readline()


def ask(address: str) -> None:
    """Ask the sentiment model, and show the same as a line for the shell."""
    body = json.dumps(json.loads((EXAMPLES / "sentiment" / "question.json").read_text()))
    url = f"{address}/models/sentiment/predict"
    request = urllib.request.Request(url, body.encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        print(f"\nasked     {body}\nanswered  {answer.read().decode()}\n")
    print("Try it yourself:")
    print(f"  curl {url} -H 'content-type: application/json' -d '{body}'")
    for name in ("digits", "filetype"):
        shown = os.path.relpath(EXAMPLES / name / "question.json")
        url = f"{address}/models/{name}/predict"
        print(f"  curl {url} -H 'content-type: application/json' -d @{shown}")
    print(f"  a page with a form for each model: {address}/\n", flush=True)


def end(server: "subprocess.Popen[str]") -> int:
    """Stop the server as an operator would; its exit code is the demo's."""
    server.send_signal(signal.SIGTERM)
    return server.wait(TIMEOUT_S)


if __name__ == "__main__":
    sys.exit(main())
