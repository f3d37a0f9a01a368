"""What the process that opens attachments may still do: count. No file, no network, no process, little memory.

For mpp.checks.attachments.helper. Linux only: setrlimit(2), unshare(2), landlock(7), seccomp(2), by the numbers of their manuals.
"""

import ctypes
import os
import platform
import resource
import struct
from glob import glob

MEMORY = 768 << 20  # octets of address space
_PROGRAM_S = 60  # of CPU, where nobody is left to end it
NOBODY = 65534  # uid and gid where we are root

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 22, 38
_AUDIT_ARCH_X86_64 = 0xC000003E
# read write close fstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn ioctl sched_yield mremap
# madvise getpid exit getrusage sigaltstack gettid futex restart_syscall clock_gettime exit_group tgkill prlimit64 getrandom rseq
_ALLOWED_X86_64 = (
    *(0, 1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 25),
    *(28, 39, 60, 98, 131, 186, 202, 219, 228, 231, 234, 302, 318, 334),
)
# pread64 access execve arch_prctl getcwd set_tid_address set_robust_list newfstatat umask sysinfo
_ALLOWED_PROGRAM = (17, 21, 59, 158, 79, 218, 273, 262, 95, 99)
_OPENAT, _CLONE, _CLONE3 = 257, 56, 435
_CLONE_THREAD = 0x10000
_SECCOMP = platform.machine() == "x86_64"  # the numbers here are of this one
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
_EXECUTE, _READ, _LIST = 1, 4, 8  # kinds of access (landlock(7))
_libc = ctypes.CDLL(None, use_errno=True)


def confine(program: str = "") -> list[str]:
    """Give up everything but the open pipes; return the names of the walls that this host cannot build.

    Whatever is needed must be imported and opened before. A `program` is what alone may be executed after this; it and its
    libraries may be read. Raises OSError where not even the limits can be set, or a program could read what is ours.
    """
    lacking = [] if _unshared() else ["namespaces"]
    root = os.geteuid() == 0
    if root:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1) or _prctl(_PR_SET_DUMPABLE, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if not _landlocked(program):
        lacking.append("landlock")
        if program and not root:
            raise OSError("a program under our own uid can be kept from our files by Landlock only")
    _limit(program)
    if not _filtered(program):
        lacking.append("seccomp")
    return lacking


def _limit(program: str) -> None:
    limits = {
        resource.RLIMIT_AS: MEMORY,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,  # counts threads too
        resource.RLIMIT_NOFILE: 16 if program else 3,
        resource.RLIMIT_CORE: 0,
    }
    if program:
        limits[resource.RLIMIT_CPU] = _PROGRAM_S
        if _SECCOMP:
            del limits[resource.RLIMIT_NPROC]  # it has threads, and seccomp denies it processes
    for limit, most in limits.items():
        resource.setrlimit(limit, (most, most))


def _unshared() -> bool:
    flags = _CLONE_NEWNET | _CLONE_NEWIPC | (0 if os.geteuid() == 0 else _CLONE_NEWUSER)
    return not _libc.unshare(flags)


def _landlocked(program: str) -> bool:
    """Deny all of the file system, TCP, and signals and sockets to others, as far as the kernel's version knows them."""
    version = _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    files = 13 + (version >= 2) + (version >= 3) + (version >= 5)  # kinds of access
    rules = struct.pack("<QQQ", (1 << files) - 1, 3, 3)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _libc.syscall(_LANDLOCK_CREATE, rules, ctypes.c_size_t(len(rules)), 0)
    if program:
        for path in _LIBRARIES:
            _allow(ruleset, path, _READ | _LIST if os.path.isdir(path) else _READ)
        for path in (program, *glob("/lib*/ld-linux*")):  # the second is what loads the first
            _allow(ruleset, path, _READ | _EXECUTE)
    if ruleset < 0:
        return False
    refused = _libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)
    return not refused


def _allow(ruleset: int, path: str, access: int) -> None:
    if os.path.exists(path):
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = ctypes.create_string_buffer(struct.pack("<Qi", access, place), 12)
        _libc.syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0)
        os.close(place)


def _filtered(program: str) -> bool:
    """Allow the calls that computing needs; for a program also to open files to read, and threads. Others fail with EPERM."""
    if not _SECCOMP:
        return False
    allow, refuse, unknown = ((0x06, 0, 0, value) for value in (0x7FFF0000, 0x00050001, 0x00050026))
    steps = [(0x20, 0, 0, 4), (0x15, 1, 0, _AUDIT_ARCH_X86_64), (0x06, 0, 0, 0x80000000), (0x20, 0, 0, 0)]
    if program:  # by flags: the third argument of one, the first of the other, which serves where clone3 is unknown
        steps += [(0x15, 0, 4, _OPENAT), (0x20, 0, 0, 32), (0x45, 0, 1, _TO_WRITE), refuse, allow]
        steps += [(0x15, 0, 4, _CLONE), (0x20, 0, 0, 16), (0x45, 1, 0, _CLONE_THREAD), refuse, allow]
        steps += [(0x15, 0, 1, _CLONE3), unknown]
    calls = _ALLOWED_X86_64 + (_ALLOWED_PROGRAM if program else ())
    steps += [(0x15, len(calls) - place, 0, number) for place, number in enumerate(calls)]
    steps += [refuse, allow]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in steps))
    pointer = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(steps), ctypes.addressof(code)))
    return not _prctl(_PR_SET_SECCOMP, 2, ctypes.addressof(pointer))


def _prctl(option: int, value: int, more: int = 0) -> int:
    result: int = _libc.prctl(option, *(ctypes.c_ulong(number) for number in (value, more, 0, 0)))
    return result
