"""Streams that inflate to a thousand times their size, made in no time."""

import struct
import zlib

MIB = 1 << 20


def zeros(mib: int) -> bytes:
    """The end of a raw deflate stream: so many MiB of zeros. Blocks that end in a full flush can be repeated."""
    machine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = machine.compress(bytes(MIB)) + machine.flush(zlib.Z_FULL_FLUSH)
    return block * mib + machine.flush()


def begun(start: bytes) -> bytes:
    """The start of a raw deflate stream, which `zeros` goes on with."""
    machine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return machine.compress(start) + machine.flush(zlib.Z_FULL_FLUSH)


def gzipped(start: bytes, mib: int) -> bytes:
    """`start` and so many MiB of zeros; its checksum is wrong, which only who inflates it all can see."""
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + begun(start) + zeros(mib) + bytes(8)


def zipped(name: str, start: bytes, mib: int) -> bytes:
    """The same as the only member of a zip, its size told truly."""
    body, told = begun(start) + zeros(mib), name.encode()
    size, crc = len(start) + mib * MIB, 0
    sizes = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0x21, crc, len(body), size, len(told), 0)
    local = b"PK\x03\x04" + sizes + told
    central = b"PK\x01\x02" + struct.pack("<H", 20) + sizes + struct.pack("<HHHII", 0, 0, 0, 0, 0) + told
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local) + len(body), 0)
    return local + body + central + end
