#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/layers/headers.sha256: the digest of the header blocks of each case in tests/unit/test-layer-tar.c.

The rules are those of Go's archive/tar (Writer.WriteHeader with FormatPAX), written down here a second time, from its
source and not from src/layer/tar.c. What comes out is also read back by Python's own tarfile.
"""

import hashlib
import io
import os
import tarfile

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "layers", "headers.sha256")
TIME = 1700000000
CAPS = bytes.fromhex("0100000200040000000000000000000000000000")


def to_ascii(text):
    return bytes(c for c in text if 0 < c < 0x80)


def is_ascii(text):
    return to_ascii(text) == text


def format_string(width, text):
    if len(text) < width:
        return text.ljust(width, b"\0")
    field = bytearray(text[:width])
    if len(text) > width and field[-1:] == b"/":
        field[len(text[: width - 1].rstrip(b"/"))] = 0
    return bytes(field)


def fits_in_octal(width, value):
    return 0 <= value < 1 << (width - 1) * 3


def format_octal(width, value):
    if not fits_in_octal(width, value):
        value = 0
    return format_string(width, (b"%o" % value).rjust(width - 1, b"0"))


def seal(block):
    block = block.ljust(512, b"\0")
    block = block[:257] + b"ustar\x0000" + block[265:]
    total = sum(block[:148]) + 8 * 32 + sum(block[156:])
    return block[:148] + format_octal(7, total) + b" " + block[156:]


def pax_record(key, value):
    size = len(key) + len(value) + 3
    size += len(str(size))
    record = b"%d %s=%s\n" % (size, key, value)
    if len(record) != size:
        size = len(record)
        record = b"%d %s=%s\n" % (size, key, value)
    return record


def raw_file(name, data):
    name = to_ascii(name)[:100].rstrip(b"/")
    block = format_string(100, name) + format_octal(8, 0) * 3 + format_octal(12, len(data)) + format_octal(12, 0)
    return seal(block + b" " * 8 + b"x") + data + bytes(-len(data) % 512)


def join(directory, *parts):
    return b"/".join([p for p in (directory.rstrip(b"/"), *parts) if p])


def header(name, kind=b"0", mode=0o644, uid=0, gid=0, size=0, mtime=TIME, link=b"", major=0, minor=0, xattrs=None):
    pax = {}
    if not is_ascii(name) or len(name) > 100:
        pax[b"path"] = name
    if not is_ascii(link) or len(link) > 100:
        pax[b"linkpath"] = link
    for key, width, value in ((b"uid", 8, uid), (b"gid", 8, gid), (b"size", 12, size), (b"mtime", 12, mtime)):
        if not fits_in_octal(width, value):
            pax[key] = b"%d" % value
    for key, value in (xattrs or {}).items():
        pax[b"SCHILY.xattr." + key] = value
    out = b""
    if pax:
        data = b"".join(pax_record(key, pax[key]) for key in sorted(pax))
        cut = name.rfind(b"/") + 1
        out = raw_file(join(name[:cut], b"PaxHeaders.0", name[cut:]), data)
    block = format_string(100, to_ascii(name))
    block += format_octal(8, mode) + format_octal(8, uid) + format_octal(8, gid)
    block += format_octal(12, size) + format_octal(12, mtime) + b" " * 8 + kind
    block += format_string(100, to_ascii(link)) + b"ustar\x0000" + bytes(64)
    block += format_octal(8, major) + format_octal(8, minor)
    return out + seal(block)


LONG = b"a" * 60 + b"/" + b"b" * 39  # 100 bytes
CASES = {
    "file": dict(name=b"bin/sh", mode=0o755, size=5),
    "empty-file": dict(name=b"f", uid=1, gid=2, mtime=0),
    "directory": dict(name=b"usr/lib/", kind=b"5", mode=0o755),
    "sticky-directory": dict(name=b"tmp/", kind=b"5", mode=0o1777),
    "set-user-id": dict(name=b"sudo", mode=0o4755, size=1),
    "symlink": dict(name=b"lib", kind=b"2", mode=0o777, link=b"usr/lib"),
    "hard-link": dict(name=b"b", kind=b"1", link=b"a"),
    "fifo": dict(name=b"p", kind=b"6", mode=0o600),
    "character-device": dict(name=b"null", kind=b"3", mode=0o666, major=1, minor=3),
    "block-device": dict(name=b"disk", kind=b"4", mode=0o660, major=259, minor=1048575),
    "path-of-100": dict(name=LONG),
    "path-of-101": dict(name=LONG + b"c"),
    "directory-of-100": dict(name=b"d" * 99 + b"/", kind=b"5", mode=0o755),
    "directory-of-101": dict(name=LONG + b"/", kind=b"5", mode=0o755),
    "cut-at-slash": dict(name=b"e" * 99 + b"/" + b"f" * 20),
    "long-top-name": dict(name=b"g" * 255),
    "deep-path": dict(name=b"/".join([b"h" * 50] * 20)),
    "utf-8": dict(name="Főtanúsítvány.crt".encode()),
    "utf-8-directory": dict(name="ö/".encode(), kind=b"5", mode=0o755),
    "not-utf-8": dict(name=b"x\xff/\x80y"),
    "strange-ascii": dict(name=b"a b\n\\\"'\x01\x7f"),
    "link-of-100": dict(name=b"s", kind=b"2", mode=0o777, link=b"t" * 100),
    "link-of-101": dict(name=b"s", kind=b"2", mode=0o777, link=b"t" * 101),
    "utf-8-link": dict(name=b"s", kind=b"2", mode=0o777, link="../ű".encode()),
    "long-hard-link": dict(name=b"k" * 120, kind=b"1", link=b"l" * 130),
    "ids-that-fit": dict(name=b"f", uid=2097151, gid=2097151),
    "large-uid": dict(name=b"f", uid=2097152),
    "large-gid": dict(name=b"f", gid=4294967294),
    "size-that-fits": dict(name=b"f", size=8**11 - 1),
    "large-size": dict(name=b"f", size=8**11),
    "before-1970": dict(name=b"f", mtime=-1),
    "long-before-1970": dict(name=b"f", mtime=-(2**33)),
    "time-that-fits": dict(name=b"f", mtime=8**11 - 1),
    "late": dict(name=b"f", mtime=8**11),
    "capabilities": dict(name=b"ping", mode=0o755, xattrs={b"security.capability": CAPS}),
    "attributes": dict(name=b"f", xattrs={b"user.b": b"2", b"user.a": b"\0\n=", b"security.capability": CAPS}),
    "attributes-and-all": dict(
        name=b"m" * 101 + b"/", kind=b"5", mode=0o755, uid=3000000, gid=3000000, mtime=-5, xattrs={b"user.k": b"v"}
    ),
    "record-of-99": dict(name=b"f", xattrs={b"user.k": b"n" * 75}),
    "record-of-100": dict(name=b"f", xattrs={b"user.k": b"n" * 76}),
    "record-of-101": dict(name=b"f", xattrs={b"user.k": b"n" * 77}),
    "record-of-1000": dict(name=b"f", xattrs={b"user.k": b"n" * 975}),
    "whiteout": dict(name=b"etc/.wh.passwd", mode=0, mtime=0),
    "top-whiteout": dict(name=b".wh.x", mode=0, mtime=0),
    "long-whiteout": dict(name=b"o/.wh." + b"p" * 100, mode=0, mtime=0),
}


def check_with_tarfile(case, fields, blocks):
    found = tarfile.open(fileobj=io.BytesIO(blocks + bytes(1024)), errors="surrogateescape").next()
    name = os.fsencode(found.name) + (b"/" if found.isdir() else b"")
    expected = (fields["name"], fields.get("link", b""), fields.get("uid", 0), fields.get("gid", 0),
                fields.get("size", 0), fields.get("mtime", TIME), fields.get("mode", 0o644))
    got = (name, os.fsencode(found.linkname), found.uid, found.gid, found.size, int(found.mtime), found.mode)
    if got != expected:
        raise SystemExit(f"{case}: tarfile reads {got}, not {expected}")


def main():
    with open(OUT, "w", encoding="ascii") as out:
        for case, fields in CASES.items():
            blocks = header(**fields)
            check_with_tarfile(case, fields, blocks)
            out.write(f"{hashlib.sha256(blocks).hexdigest()}  {case}\n")


main()
