"""`mpp serve` that keeps no traces and has no background process, as the spine was: what traces cost is measured beside it.

What a trace is made of is still gathered, since the log line tells it too.
"""

import sys

from mpp.cli import main
from mpp.gateway import recorder, supervisor


def _nothing(*_: object, **__: object) -> None:
    return None


if __name__ == "__main__":
    recorder.Recorder.add = _nothing  # type: ignore[method-assign, assignment]
    whole = supervisor.supervise
    supervisor.supervise = lambda value, path, worker, _background: whole(value, path, worker)  # type: ignore[assignment]
    sys.exit(main())
