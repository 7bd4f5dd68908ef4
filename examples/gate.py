"""A gate for continuous integration: audit what came in, write reports, exit as the verdict says.

    python examples/gate.py incoming.jsonl gold.profile policy.yaml reports/

The same without Python: tailguard audit incoming.jsonl --gold gold.profile --policy policy.yaml
-o reports/audit.html -o reports/audit.xml
"""

from __future__ import annotations

import sys
from pathlib import Path

import tailguard
from tailguard.errors import TailguardError
from tailguard.report.render import write_report


def main(batch: str, gold: str, policy: str, folder: str) -> int:
    """The exit code: 0 pass or warn, 1 fail, 2 bad input, 3 inconclusive."""
    try:
        verdict = tailguard.audit(batch, gold, policy=policy)
        Path(folder).mkdir(parents=True, exist_ok=True)
        # HTML for people, JUnit for the summary of the pipeline.
        for name in ("audit.html", "audit.xml"):
            write_report(verdict, Path(folder) / name)
    except TailguardError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"{verdict.status}: {verdict.headline}")
    return verdict.exit_code


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
