"""Letting the system refuse every sync of this process, or end it by the first.

A filter of system calls (seccomp) sees what native code does too, which patching os.fsync does not.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform

# fsync, fdatasync, sync_file_range, syncfs, msync, by machine
_CALLS = {"x86_64": (74, 75, 277, 306, 26), "aarch64": (82, 83, 84, 267, 227)}
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("if_true", ctypes.c_ubyte),
        ("if_false", ctypes.c_ubyte),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


def can_refuse_sync() -> bool:
    """Whether this machine's calls are known; where it is also allowed shows on trying."""
    return platform.system() == "Linux" and platform.machine() in _CALLS


def refuse_sync(*, deadly: bool = False) -> None:
    """Let every sync of this process fail from now on, for good.

    Args:
        deadly: the first one ends the process by SIGSYS, instead of an input/output error.
    """
    answer = _KILL if deadly else _REFUSE | errno.EIO
    calls = _CALLS[platform.machine()]
    program = [_Instruction(_LOAD, 0, 0, 0)]
    for left, call in enumerate(reversed(calls)):
        program.insert(1, _Instruction(_JUMP_IF_EQUAL, left + 1, 0, call))
    program += [
        _Instruction(_RETURN, 0, 0, _ALLOW),
        _Instruction(_RETURN, 0, 0, answer),
    ]
    filter = (_Instruction * len(program))(*program)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    asked = _Program(len(program), filter)
    if libc.prctl(_SECCOMP, _FILTER, ctypes.byref(asked), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
