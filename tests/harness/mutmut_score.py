"""What mutmut found: by module how many mutants the tests killed, and the names of the others.

python -m harness.mutmut_score     (in the folder in which mutmut ran)
"""

import json
import sys
from pathlib import Path

FOUND = Path("mutants/src/headway/engine")
PASSED, NO_TESTS = 0, 33
"""What mutmut keeps of a mutant with which the tests pass, or that none of them runs; None if it was not tried."""


def main() -> int:
    """Print them; returns an exit code."""
    left = []
    for path in sorted(FOUND.glob("*.py.meta")):
        codes = json.loads(path.read_text())["exit_code_by_key"]
        tried = {name: code for name, code in codes.items() if code is not None}
        survivors = [name for name, code in tried.items() if code in (PASSED, NO_TESTS)]
        left += survivors
        if tried:
            killed = len(tried) - len(survivors)
            print(f"{path.name.split('.')[0]:10} {killed} of {len(tried)} killed")
    for name in left:
        print(f"survived: {name}")
    return int(bool(left))


if __name__ == "__main__":
    sys.exit(main())
