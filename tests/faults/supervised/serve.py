"""The whole gateway as `mpp serve --settings FILE`, with what the tests of faults need and no setting offers.

MPP_TEST_SILENCE_S      after how long a worker without a sign of life is replaced
MPP_TEST_CHECK=abort    one check alone, which calls abort() on a message that says so in its body (HANG: stops the loop)
MPP_TEST_WINDOW_S       how long the guards' windows of time are, and each name is looked at whenever it decides
"""

import os
import sys
import time
from pathlib import Path

from mpp.checks.guards import jumps
from mpp.checks.layers.judge import Layers
from mpp.gateway import assembly
from mpp.gateway.background import run_background
from mpp.gateway.load import load_settings
from mpp.gateway.supervisor import supervise
from mpp.gateway.worker import run_worker
from mpp.verdict.finding import SCANNER_FAILED, Finding, OnFailure


class Aborting:
    name, layer, spam = "aborting", 1, False

    async def examine(self, message, transaction):
        if b"\r\nABORT" in message.raw:
            os.abort()
        if b"\r\nHANG" in message.raw:
            time.sleep(1000)
        return []

    def failed(self, server, cause):
        return Finding(self.name, SCANNER_FAILED, evidence=cause, failure=OnFailure.DEFER)


if __name__ == "__main__":
    if os.environ.get("MPP_TEST_CHECK") == "abort":
        assembly.layers_of = lambda *_: Layers([Aborting()])
    if window_s := os.environ.get("MPP_TEST_WINDOW_S"):
        jumps.WINDOW_S, jumps._LOOK_S = float(window_s), 0.0
    path = Path(sys.argv[sys.argv.index("--settings") + 1])
    silence_s = float(os.environ.get("MPP_TEST_SILENCE_S", "10"))
    sys.exit(supervise(load_settings(path).settings, path, run_worker, run_background, silence_s=silence_s))
