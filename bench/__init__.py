"""The numbers of MPP beside its peers, measured in one run on one machine: `make bench`.

What is measured, how, and what came out: docs/performance.md. Everything stays on loopback, runs bounded in count and
time, and ends what it started.
"""

import sys
from pathlib import Path

# The servers that the tests start are started here too.
sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
