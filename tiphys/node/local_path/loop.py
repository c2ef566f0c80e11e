"""Loop devices: block devices whose content is a file ("loop(4)"). All calls wait for the kernel; none waits for a disk for long."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_SET_CAPACITY, _CLEAR, _GET_STATUS, _CONFIGURE, _GET_FREE = 0x4C07, 0x4C01, 0x4C05, 0x4C0A, 0x4C82
_INFO = struct.Struct("=QQQQQIIII64s64s32sQQ")
"""struct loop_info64: device, inode, rdevice, offset, size limit, number, two of encryption, flags, names, key, init."""
_CONFIG = struct.Struct("=II")
"""Beginning of struct loop_config: descriptor and block size; loop_info64 and 64 reserved bytes follow."""
_READ_ONLY, _AUTOCLEAR, _DIRECT_IO = 1, 4, 16
_MAJOR = 7
_ATTEMPTS = 64
"""Attempts while others take the free device first."""
_SYSTEM = Path("/sys/block")


class Loop(NamedTuple):
    """A loop device and the file behind it, by the file's device and inode; `backing` is the path that the kernel shows."""

    number: int
    device: int
    inode: int
    backing: str
    autoclear: bool

    @property
    def path(self) -> Path:
        return Path(f"/dev/loop{self.number}")


def attached(directory: Path) -> list[Loop]:
    """Return the devices whose files are, or were, below a directory."""
    prefix = os.path.realpath(directory) + "/"
    return [device for number, backing in _backings() if backing.startswith(prefix) and (device := _looked_at(number, backing))]


def of_file(file: int) -> Loop | None:
    """Return the device of an open file, None if it has none."""
    status = os.fstat(file)
    # The last names suffice to choose: another mount namespace shows another path, and opening strange devices can keep them in use.
    names = os.readlink(f"/proc/self/fd/{file}").split("/")[-2:]
    for number, backing in _backings():
        if backing.split("/")[-2:] == names:
            device = _looked_at(number, backing)
            if device is not None and (device.device, device.inode) == (status.st_dev, status.st_ino):
                return device
    return None


@contextlib.contextmanager
def attach(file: int, *, autoclear: bool, read_only: bool = False) -> Iterator[Loop]:
    """Give an open file a device, or find the one that it has, and hold it open. With `autoclear` its last user's end detaches it.

    So a process that dies between this and a mount leaves nothing. Raises OSError.
    """
    with contextlib.ExitStack() as held:
        yield _existing(file, held) or _new(file, held, (_AUTOCLEAR if autoclear else 0) | (_READ_ONLY if read_only else 0))


def _existing(file: int, held: contextlib.ExitStack) -> Loop | None:
    device = of_file(file)
    if device is None:
        return None
    with contextlib.suppress(OSError), contextlib.ExitStack() as attempt:
        fd = attempt.enter_context(_opened(device.number))
        # Held open it cannot be detached; until then it could.
        now = _status(fd, device.backing)
        if (now.device, now.inode) == (device.device, device.inode):
            held.push(attempt.pop_all())
            return now
    return None


def _new(file: int, held: contextlib.ExitStack, flags: int) -> Loop:
    for _ in range(_ATTEMPTS):
        with contextlib.ExitStack() as attempt:
            fd = attempt.enter_context(_free())
            try:
                _configure(fd, file, flags)
            except OSError as error:
                if error.errno == errno.EBUSY:  # Somebody else was first.
                    continue
                raise
            held.push(attempt.pop_all())
            return _status(fd, "")
    raise OSError(errno.EBUSY, "no free loop device")


def grow(device: Loop) -> None:
    """Let a device follow its file, which has grown. Raises OSError."""
    with _opened(device.number) as fd:
        fcntl.ioctl(fd, _SET_CAPACITY, 0)


def size(device: Loop) -> int:
    """Return the size of a device in bytes. Raises OSError."""
    return int((_SYSTEM / device.path.name / "size").read_text()) * 512


def detach(device: Loop) -> None:
    """Take the file away from a device, or as soon as nobody has it open. Harmless if it has another file by now. Raises OSError."""
    try:
        with _opened(device.number) as fd:
            if _status(fd, "")[1:3] == device[1:3]:
                fcntl.ioctl(fd, _CLEAR, 0)
    except OSError as error:
        if error.errno not in (errno.ENXIO, errno.ENOENT):
            raise


def number_of(device: int) -> int | None:
    """Return the number of a loop device from its device number, None for another kind of device."""
    return os.minor(device) if os.major(device) == _MAJOR else None


def _backings() -> Iterator[tuple[int, str]]:
    """Yield the numbers of the devices in use and the paths of their files. No device is opened."""
    for entry in _SYSTEM.glob("loop*"):
        with contextlib.suppress(OSError):  # Without a file, or gone meanwhile.
            yield int(entry.name[4:]), (entry / "loop" / "backing_file").read_text(errors="surrogateescape").rstrip("\n")


def _looked_at(number: int, backing: str) -> Loop | None:
    with contextlib.suppress(OSError), _opened(number) as fd:
        return _status(fd, backing)
    return None


@contextlib.contextmanager
def _opened(number: int) -> Iterator[int]:
    path = f"/dev/loop{number}"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # Without udev nobody makes the nodes of new devices.
        os.mknod(path, stat.S_IFBLK | 0o660, os.makedev(_MAJOR, number))
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES):
            raise
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _free() -> Iterator[int]:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        number = fcntl.ioctl(control, _GET_FREE)
    finally:
        os.close(control)
    with _opened(number) as fd:
        yield fd


def _configure(device: int, file: int, flags: int) -> None:
    for bits in (flags | _DIRECT_IO, flags):
        info = _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, bits, b"tiphys", b"", b"", 0, 0)
        try:
            fcntl.ioctl(device, _CONFIGURE, _CONFIG.pack(file, 0) + info + bytes(64))
            return
        except OSError as error:
            # File systems such as tmpfs on older kernels do without a page cache of their own.
            if error.errno != errno.EINVAL or bits == flags:
                raise


def _status(fd: int, backing: str) -> Loop:
    values = _INFO.unpack(fcntl.ioctl(fd, _GET_STATUS, bytes(_INFO.size)))
    # The kernel encodes devices of files in its own way for large numbers; ours are compared with stat's.
    return Loop(values[5], _decoded(values[0]), values[1], backing, bool(values[8] & _AUTOCLEAR))


def _decoded(device: int) -> int:
    """Return a device number of the kernel's encoding (new_encode_dev or huge_encode_dev) in that of stat."""
    major, minor = (device & 0xFFF00) >> 8, (device & 0xFF) | ((device >> 12) & 0xFFF00)
    return os.makedev(major, minor)
