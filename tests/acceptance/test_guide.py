"""The integration guide's own code, run as it is written there."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, skip_or_fail


def test_every_claim_of_the_integration_guide_holds(real_data: Path) -> None:
    checker = real_data.parent / "spec" / "guide_check.py"
    if not checker.exists():
        skip_or_fail(f"no integration guide at {checker.parent}")
    done = subprocess.run(
        [sys.executable, checker], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "29 of 29 claims hold"
