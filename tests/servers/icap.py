"""A real ICAP service: c-icap with virus_scan over a clamd, and its echo service."""

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from mpp.cli.programs import free_port, launch, port_answers, wait_until
from servers.installed import installed

_USER = ("clamav", "clamav")  # clamd must be able to read what c-icap writes


def _modules() -> Path:
    return next(iter(sorted(Path("/usr/lib").glob("*/c_icap"))))


@contextlib.contextmanager
def running_c_icap(folder: Path, clamd_port: int) -> Iterator[str]:
    """Services /avscan and /echo at the address that is yielded."""
    program, port, modules = installed("c-icap"), free_port(), _modules()
    folder.mkdir(parents=True)
    settings = folder / "c-icap.conf"
    settings.write_text(f"""
PidFile {folder}/c-icap.pid
CommandsSocket {folder}/c-icap.ctl
Port 127.0.0.1:{port}
StartServers 1
MaxServers 2
ThreadsPerChild 10
MinSpareThreads 1
MaxSpareThreads 20
MaxKeepAliveRequests 1000
TmpDir {folder}
MaxMemObject 131072
ServerLog {folder}/server.log
AccessLog {folder}/access.log
ModulesDir {modules}
ServicesDir {modules}
TemplateDir /usr/share/c_icap/templates/
LoadMagicFile /etc/c-icap/c-icap.magic
Service echo srv_echo.so
Service antivirus_module virus_scan.so
ServiceAlias avscan virus_scan?allow204=on&sizelimit=off&mode=simple
virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE
virus_scan.MaxObjectSize 64M
Module common clamd_mod.so
clamd_mod.ClamdHost 127.0.0.1
clamd_mod.ClamdPort {clamd_port}
""")
    command = [program, "-N", "-D", "-f", str(settings)]
    if os.geteuid() == 0:
        shutil.chown(folder, *_USER)
        with settings.open("a") as file:
            file.write(f"User {_USER[0]}\nGroup {_USER[1]}\n")
    running = launch("c-icap", command, folder / "c-icap.log")
    try:
        wait_until(lambda: port_answers(("127.0.0.1", port)), running, 30)
        yield f"127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)  # asked to end it waits for its kept connections
        running.process.wait()
