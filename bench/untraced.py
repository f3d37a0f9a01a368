"""`mpp serve` without traces and background process, as the spine was: what traces cost is measured beside it."""

import sys

from mpp.cli import main
from mpp.gateway import recorder, report, supervisor


def _nothing(*_: object, **__: object) -> None:
    return None


if __name__ == "__main__":
    report.trace_of = _nothing  # type: ignore[assignment]
    recorder.Recorder.add = _nothing  # type: ignore[method-assign, assignment]
    whole = supervisor.supervise
    supervisor.supervise = lambda value, path, worker, _background: whole(value, path, worker)  # type: ignore[assignment]
    sys.exit(main())
