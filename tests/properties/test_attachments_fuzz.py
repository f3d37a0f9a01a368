"""Files of every kind, broken by chance, through the confined process: it neither crashes nor hangs, and answers about each.

A few seconds here; `make fuzz` does it for ten minutes (MPP_FUZZ_S). What it finds is printed with its seed and kept in a folder;
mended, it becomes a test in tests/unit/checks/attachments.
"""

import os
import random
import time
from pathlib import Path

from mpp.checks.attachments.helper import Helper
from mpp.checks.attachments.item import File, Limits
from mpp.checks.attachments.unpacking import find_unpacker
from servers.mutations import mutated, seeds

SECONDS = float(os.environ.get("MPP_FUZZ_S", "4"))
LIMITS = Limits(octets=20 << 20, entries=1000, seconds=5.0)
KEPT = Path(os.environ.get("MPP_FUZZ_KEPT", "fuzzed"))


def test_no_file_ends_the_process():
    seed = int(os.environ.get("MPP_FUZZ_SEED") or random.SystemRandom().randrange(1 << 32))
    draw, files = random.Random(seed), seeds()
    names, until, count, found = list(files), time.monotonic() + SECONDS, 0, []
    with Helper() as alone, Helper(find_unpacker()) as with_program:  # the second costs ten times as much
        while time.monotonic() < until:
            helper = alone if count % 20 else with_program
            name, other = draw.choice(names), draw.choice(names)
            data = mutated(files[name], files[other], draw)
            items = helper.inspect([File("1", name, "", data)], LIMITS)
            count += 1
            assert items[0].size == len(data)
            if helper.failure:
                found.append((name, count, helper.failure))
                KEPT.mkdir(exist_ok=True)
                (KEPT / f"{seed}-{count}-{name}").write_bytes(data)
    print(f"{count} files, seed {seed}")
    assert found == [], f"seed {seed}, file by number; they are in {KEPT.resolve()}"
