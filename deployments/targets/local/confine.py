"""Shuts the calling process in and executes a command; run as a file by the interpreter of the command itself.

    python -I -S confine.py SETTINGS COMMAND...

SETTINGS is a JSON object: `limits` (resource name -> number), `uid` (0: keep), `landlock` (null or `read`,
`write`, `tcp`), `sockets` (none, unix or tcp), `threads`. It needs nothing but the standard library, for it runs
inside the sandbox. System call numbers and structures: Linux include/uapi/{asm-generic/unistd,linux/landlock,
linux/seccomp,linux/filter,linux/prctl}.h and arch/x86/entry/syscalls/syscall_64.tbl.
"""

import ctypes
import json
import os
import resource
import signal
import struct
import sys

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 22, 24, 38
_SECCOMP_MODE_FILTER = 2
_CAP_LAST = 63
_NOBODY = 65534

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_RULE_PATH, _RULE_PORT = 1, 2
_FS_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read file, read folder
_FS_FILE_ONLY = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
_FS_ALL_BY_ABI = {1: 1 << 13, 2: 1 << 14, 3: 1 << 15, 5: 1 << 16}  # abi -> first right that it does not know
_NET_CONNECT_AND_BIND = 1 << 0 | 1 << 1
_NET_CONNECT = 1 << 1
_SCOPE_ALL = 1 << 0 | 1 << 1  # abstract unix sockets, signals

_EPERM, _ENOSYS = 1, 38
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN, _AND = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54
_CLONE_THREAD = 0x00010000
_AF_UNIX, _AF_INET, _SOCK_STREAM = 1, 2, 1

# name -> number on x86_64 and on aarch64 (None: not there)
_CALLS: "dict[str, tuple[int | None, int | None]]" = {
    "fork": (57, None), "vfork": (58, None), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "io_uring_setup": (425, 425), "unshare": (272, 97), "setns": (308, 268),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194),
    "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "open_by_handle_at": (304, 265),
    "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "kexec_load": (246, 104),
    "init_module": (175, 105), "finit_module": (313, 273), "personality": (135, 92),
}  # fmt: skip
_CLONE, _CLONE3, _SOCKET, _PRCTL = (56, 220), (435, 435), (41, 198), (157, 167)
_TGKILL, _PRLIMIT = (234, 131), (302, 261)
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}


def main(arguments: "list[str]") -> None:
    settings = json.loads(arguments[0])
    command = arguments[1:]
    for name, value in settings["limits"].items():
        _, hard = resource.getrlimit(getattr(resource, name))
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, name), (value, value))
    # Read before the rights to read are gone.
    landlock = _prepare_landlock(settings["landlock"]) if settings["landlock"] else None
    if os.getuid() == 0:
        _lay_root_down(settings["uid"])
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        # Before what runs already cannot be seen any more.
        _bound_threads(settings["threads"])
        if landlock is not None:
            _syscall(_LANDLOCK_RESTRICT, landlock, 0)
            os.close(landlock)
        _install_filter(settings["sockets"])
    os.execv(command[0], command)  # noqa: S606 - a list, no shell


def landlock_abi() -> int:
    """The version of Landlock that the kernel offers; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    found = ctypes.CDLL(None, use_errno=True).syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    return max(0, int(found))


def _prepare_landlock(rules: "dict[str, list[str] | list[int]]") -> int:
    """Build the rule set; returns its descriptor."""
    abi = landlock_abi()
    all_fs = (1 << 13) - 1
    for known_until, first_unknown in _FS_ALL_BY_ABI.items():
        if abi >= known_until:
            all_fs = first_unknown - 1
    attributes = struct.pack("QQQ", all_fs, _NET_CONNECT_AND_BIND if abi >= 4 else 0, _SCOPE_ALL if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), 0)
    for access, paths in ((_FS_READ, rules["read"]), (all_fs, rules["write"])):
        for path in paths:
            _allow_path(ruleset, str(path), access & all_fs)
    for port in rules["tcp"] if abi >= 4 else ():
        _syscall(_LANDLOCK_ADD, ruleset, _RULE_PORT, struct.pack("QQ", _NET_CONNECT, int(port)), 0)
    return ruleset


def _allow_path(ruleset: int, path: str, access: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - as below
            access &= _FS_FILE_ONLY
        _syscall(_LANDLOCK_ADD, ruleset, _RULE_PATH, struct.pack("=Qi", access, handle), 0)
    finally:
        os.close(handle)


def _lay_root_down(uid: int) -> None:
    """Become the unprivileged user, or where that cannot be, root without any capability."""
    for candidate in (uid, _NOBODY) if uid else ():
        try:
            os.setgroups([])
            os.setgid(candidate)
            os.setuid(candidate)
        except OSError:
            continue  # a user that this container's user namespace does not map
        return
    for capability in range(_CAP_LAST + 1):
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = struct.pack("Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    number = 126 if os.uname().machine == "x86_64" else 91  # capset
    _syscall(number, header, struct.pack("6I", 0, 0, 0, 0, 0, 0))


def _bound_threads(most: int) -> None:
    """RLIMIT_NPROC counts all of a user's threads in the user namespace, so those that run already are added."""
    own = os.getuid()
    running = 0
    try:
        processes = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - as below
    except OSError:
        processes = []
    for name in processes:
        try:
            with open(f"/proc/{name}/status") as file:  # noqa: PTH123 - no imports beyond need in this file
                status = dict(line.split(":", 1) for line in file if ":" in line)
        except OSError:
            continue
        if int(status["Uid"].split()[0]) == own:
            running += int(status["Threads"])
    resource.setrlimit(resource.RLIMIT_NPROC, (running + most, running + most))


def _install_filter(sockets: str) -> None:
    """No new process (threads are free), no signal to others, no socket but those named, no call listed above."""
    machine = _ARCHITECTURES.get(os.uname().machine)
    if machine is None:
        return
    column, audit = machine
    filters = [_op(_LOAD, 4), _op(_JUMP_EQUAL, audit, 1, 0), _op(_RETURN, _KILL), _op(_LOAD, 0)]
    if column == 0:  # the x32 face of the same kernel would pass all comparisons
        filters += [_op(_JUMP_AT_LEAST, 0x40000000, 0, 1), _op(_RETURN, _ERRNO | _EPERM)]
    for numbers in _CALLS.values():
        number = numbers[column]
        if number is not None:
            filters += [_op(_JUMP_EQUAL, number, 0, 1), _op(_RETURN, _ERRNO | _EPERM)]
    # clone3 hides its flags in memory; the C library falls back to clone, whose flags can be seen.
    filters += [_op(_JUMP_EQUAL, _CLONE3[column], 0, 1), _op(_RETURN, _ERRNO | _ENOSYS)]
    filters += _when(_CLONE[column], [_op(_LOAD, 16), _op(_JUMP_SET, _CLONE_THREAD, 1, 0), *_REFUSE, *_PASS])
    # The signal that comes when the parent dies must not be taken off.
    filters += _when(_PRCTL[column], [_op(_LOAD, 16), _op(_JUMP_EQUAL, _PR_SET_PDEATHSIG, 0, 1), *_REFUSE, *_PASS])
    # Signals and limits for itself alone: other processes of the same user are not its business.
    own = os.getpid()
    filters += _when(_TGKILL[column], [_op(_LOAD, 16), _op(_JUMP_EQUAL, own, 1, 0), *_REFUSE, *_PASS])
    filters += _when(
        _PRLIMIT[column],
        [_op(_LOAD, 16), _op(_JUMP_EQUAL, own, 2, 0), _op(_JUMP_EQUAL, 0, 1, 0), *_REFUSE, *_PASS],
    )
    filters += _when(_SOCKET[column], _socket_rule(sockets))
    filters.append(_op(_RETURN, _ALLOW))
    program = ctypes.create_string_buffer(b"".join(filters))
    header = struct.pack("HxxxxxxP", len(filters), ctypes.addressof(program))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.create_string_buffer(header))


def _socket_rule(sockets: str) -> "list[bytes]":
    if sockets == "none":
        return [*_REFUSE]
    family = _AF_UNIX if sockets == "unix" else _AF_INET
    return [
        _op(_LOAD, 16), _op(_JUMP_EQUAL, family, 1, 0), *_REFUSE,
        _op(_LOAD, 24), _op(_AND, 0xF), _op(_JUMP_EQUAL, _SOCK_STREAM, 1, 0), *_REFUSE,
        *_PASS,
    ]  # fmt: skip


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction of classic BPF: struct sock_filter."""
    return struct.pack("HBBI", code, if_true, if_false, value)


def _when(number: int, body: "list[bytes]") -> "list[bytes]":
    """Run the body, which must return, for the system call of that number; its number is loaded."""
    return [_op(_JUMP_EQUAL, number, 0, len(body)), *body]


_REFUSE = [_op(_RETURN, _ERRNO | _EPERM)]
_PASS = [_op(_RETURN, _ALLOW)]


def _prctl(option: int, value: int, pointer: "ctypes.Array[ctypes.c_char] | None" = None) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), pointer, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def _syscall(number: int, *arguments: "int | bytes | ctypes.c_size_t") -> int:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    result = int(library.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
