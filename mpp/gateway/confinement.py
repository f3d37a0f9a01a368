"""Is there what attachments are looked into with: the confined process, all of its walls, 7-Zip? Asked by `mpp check`.

A process is started and ended for that. What is lacking depends on the kernel and on who asks, so ask as node.user.
"""

from collections.abc import Iterator

from mpp.checks.attachments.helper import Helper
from mpp.checks.attachments.unpacking import find_unpacker
from mpp.gateway.settings import Settings
from mpp.mail.escape import printable
from mpp.settings.problem import Problem

_KEY = ("inspection",)
_CURES = {
    "landlock": "use a kernel of version 5.13 or later that has it (/sys/kernel/security/lsm names it)",
    "namespaces": "allow user namespaces (sysctl user.max_user_namespaces), or leave it at the other walls",
    "seccomp": "it is there on x86-64 only; leave it at the other walls",
}


def confinement(settings: Settings) -> Iterator[Problem]:
    """Nothing where attachments are not looked into."""
    if not (settings.attachments or settings.inspection.always):
        return
    try:
        with Helper() as helper:
            helper.start()
            lacking = helper.lacking
    except OSError as error:
        yield Problem(
            _KEY, f"no confined process can be started: {printable(str(error))}", "mend that; mail waits for it"
        )
        return
    for wall in lacking:
        what = f"looks into files in a process that this host does not confine by {printable(wall)}"
        yield Problem(_KEY, what, _CURES.get(wall, ""), "warning")
    if not find_unpacker():
        what = "finds no 7-Zip, so arj, chm, wim and rare methods of zip and 7z are unchecked"
        yield Problem(_KEY, what, "apt-get install p7zip-full", "note")
