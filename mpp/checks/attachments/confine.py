"""What the process that opens attachments may still do: count. No file, no network, no process, little memory.

For mpp.checks.attachments.helper. Linux only: setrlimit(2), unshare(2), landlock(7), seccomp(2), by the numbers of their manuals.
"""

import ctypes
import os
import platform
import resource
import struct

MEMORY = 768 << 20  # octets of address space
NOBODY = 65534  # uid and gid where we are root

_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446  # the same on every architecture
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 22, 38
_AUDIT_ARCH_X86_64 = 0xC000003E
# read write close fstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn ioctl sched_yield mremap
# madvise getpid exit getrusage sigaltstack gettid futex restart_syscall clock_gettime exit_group tgkill prlimit64 getrandom rseq
_ALLOWED_X86_64 = (
    *(0, 1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 25),
    *(28, 39, 60, 98, 131, 186, 202, 219, 228, 231, 234, 302, 318, 334),
)
_libc = ctypes.CDLL(None, use_errno=True)


def confine() -> list[str]:
    """Give up everything but the open pipes; return the names of the walls that this host cannot build.

    Whatever is needed must be imported and opened before. Raises OSError where not even the limits can be set.
    """
    lacking = [] if _unshared() else ["namespaces"]
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1) or _prctl(_PR_SET_DUMPABLE, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    for limit, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    if not _landlocked():
        lacking.append("landlock")
    if not _filtered():
        lacking.append("seccomp")
    return lacking


def _unshared() -> bool:
    flags = _CLONE_NEWNET | _CLONE_NEWIPC | (0 if os.geteuid() == 0 else _CLONE_NEWUSER)
    return not _libc.unshare(flags)


def _landlocked() -> bool:
    """Deny all of the file system, TCP, and signals and sockets to others, as far as the kernel's version knows them."""
    version = _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    files = 13 + (version >= 2) + (version >= 3) + (version >= 5)  # kinds of access
    rules = struct.pack("<QQQ", (1 << files) - 1, 3, 3)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _libc.syscall(_LANDLOCK_CREATE, rules, ctypes.c_size_t(len(rules)), 0)
    return ruleset >= 0 and not _libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0)


def _filtered() -> bool:
    """Allow the calls that computing needs; each other one fails with EPERM. The numbers are those of x86-64."""
    if platform.machine() != "x86_64":
        return False
    count = len(_ALLOWED_X86_64)
    program = [(0x20, 0, 0, 4), (0x15, 1, 0, _AUDIT_ARCH_X86_64), (0x06, 0, 0, 0x80000000), (0x20, 0, 0, 0)]
    program += [(0x15, count - place, 0, number) for place, number in enumerate(_ALLOWED_X86_64)]
    program += [(0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]  # EPERM, allow
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in program))
    pointer = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(code)))
    return not _prctl(_PR_SET_SECCOMP, 2, ctypes.addressof(pointer))


def _prctl(option: int, value: int, more: int = 0) -> int:
    result: int = _libc.prctl(option, *(ctypes.c_ulong(number) for number in (value, more, 0, 0)))
    return result
