#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/tar: archives for the tests of codec's tar reader, and seeds for tests/fuzz/fuzz-tar.c.

Most are built header by header here. Those called real-* come from GNU tar, busybox, libarchive, Python and umoci, as far
as these are installed; the others stay as they are in the repository. For every archive that must be readable, NAME.list
says what Python's tarfile makes of it, so that the tests compare two readers that share nothing.
"""

import ctypes
import glob
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tar")
TIME = 1700000000


# ---- building blocks ----


def octal(value, width):
    return b"%0*o\0" % (width - 1, value)


def base256(value, width):
    data = bytearray((value & ((1 << 8 * width) - 1)).to_bytes(width, "big"))
    data[0] |= 0x80
    return bytes(data)


def header(name=b"f", type=b"0", size=0, mode=0o644, uid=0, gid=0, mtime=TIME, link=b"", magic=b"ustar\x0000", prefix=b"",
           major=0, minor=0, tail=None, checksum=None, **fields):
    """One block. A field given as bytes is taken as it is."""

    def number(value, width):
        return value.ljust(width, b"\0") if isinstance(value, bytes) else octal(value, width)

    end = tail if tail is not None else prefix.ljust(155, b"\0") + b"\0" * 12
    head = (name.ljust(100, b"\0") + number(mode, 8) + number(uid, 8) + number(gid, 8) + number(size, 12)
            + number(mtime, 12))
    rest = (type + link.ljust(100, b"\0") + magic.ljust(8, b"\0") + b"\0" * 64 + number(major, 8) + number(minor, 8)
            + end.ljust(167, b"\0"))
    total = sum(head) + 8 * 32 + sum(rest)
    block = head + (checksum if checksum is not None else b"%06o\0 " % total) + rest
    assert len(block) == 512, len(block)
    return block


def pad(data):
    return data + b"\0" * (-len(data) % 512)


def entry(data=b"", **fields):
    fields.setdefault("size", len(data))
    return header(**fields) + pad(data)


def record(key, value):
    body = key + b"=" + value + b"\n"
    length = len(body) + 2
    while len(b"%d %s" % (length, body)) != length:
        length = len(b"%d %s" % (length, body))
    return b"%d %s" % (length, body)


def pax(*records, type=b"x"):
    body = b"".join(r if isinstance(r, bytes) else record(*r) for r in records)
    return header(name=b"PaxHeaders.0/f", type=type, size=len(body), mtime=0) + pad(body)


def long_name(name, type=b"L"):
    return header(name=b"././@LongLink", type=type, size=len(name) + 1, magic=b"ustar  \0") + pad(name + b"\0")


def gnu_tail(extents, realsize, extended=False, atime=b""):
    fields = b"".join(octal(a, 12) + octal(b, 12) for a, b in extents[:4])
    return (atime.ljust(12, b"\0") + b"\0" * (12 + 12 + 4 + 1) + fields.ljust(96, b"\0") + (b"\1" if extended else b"\0")
            + (octal(realsize, 12) if realsize is not None else b"\0" * 12))


def gnu_block(extents, extended=False):
    fields = b"".join(octal(a, 12) + octal(b, 12) for a, b in extents)
    return fields.ljust(504, b"\0") + (b"\1" if extended else b"\0") + b"\0" * 7


END = b"\0" * 1024
GNU = b"ustar  \0"
GOOD, BAD = {}, {}
# What Python sees otherwise than GNU tar and libarchive do: it looks for the '/' of a directory in the header only.
LISTS = {"pax-utf8-dir": b"d 0644 0:0 0 %d 0:0 \\xc5\\x91\n" % TIME}


def sparse_1_0(realsize, extents, data, lines=None, more=()):
    text = lines if lines is not None else b"%d\n" % len(extents) + b"".join(b"%d\n%d\n" % e for e in extents)
    body = pad(text) + data
    return (pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"sparse"),
                (b"GNU.sparse.realsize", b"%d" % realsize), *more)
            + header(name=b"GNUSparseFile.0/sparse", size=len(body)) + pad(body))


def sparse_0(*records, data=b"", size=None):
    return (pax((b"GNU.sparse.size", b"%d" % (len(data) if size is None else size)), *records)
            + entry(data, name=b"sparse"))


# ---- archives that must be read ----

GOOD["empty"] = b""
GOOD["plain"] = entry(b"hello\n", name=b"f") + header(name=b"d/", type=b"5", mode=0o755)
GOOD["types"] = (entry(b"x", name=b"file", mode=0o4755, uid=1000, gid=100) + header(name=b"hard", type=b"1", link=b"file")
                 + header(name=b"soft", type=b"2", link=b"../file", mode=0o777)
                 + header(name=b"tty", type=b"3", major=4, minor=0xfffff)
                 + header(name=b"sda", type=b"4", major=0xfff, minor=1)
                 + header(name=b"fifo", type=b"6", mode=0o1777))
GOOD["mode-type-bits"] = entry(b"x", mode=0o100644) + header(name=b"d", type=b"5", mode=0o40755)
GOOD["v7"] = (entry(b"old", magic=b"", type=b"\0", mode=b"   644 \0", uid=b"     0 \0", size=b"          3 ")
              + header(name=b"dir/", magic=b"", type=b"\0", mode=0o755))
GOOD["prefix"] = entry(b"x", name=b"n" * 100, prefix=b"some/dir")
GOOD["pax-size-wins"] = pax((b"size", b"3")) + header(name=b"f", size=0) + pad(b"abc") + entry(b"next", name=b"g")
GOOD["pax-all"] = pax((b"path", b"new/" + b"p" * 300), (b"uid", b"4294967294"), (b"gid", b"70000"),
                      (b"mtime", b"1700000001.75"), (b"atime", b"1.5"), (b"uname", b"me"), (b"comment", b"hi"),
                      (b"SCHILY.xattr.user.bin", b"\0\1\n=\xff"), (b"SCHILY.xattr.security.capability", b"\1\0\0\2")
                      ) + entry(b"data", name=b"short")
GOOD["pax-link"] = pax((b"linkpath", b"l" * 200)) + header(name=b"s", type=b"2", link=b"l")
GOOD["pax-link-alone"] = (pax((b"linkpath", "ő".encode())) + header(name=b"s", type=b"2")
                          + pax((b"linkpath", "f/ő".encode())) + header(name=b"h", type=b"1"))
GOOD["pax-link-of-file"] = pax((b"linkpath", b"other")) + entry(b"still a file", name=b"f")
GOOD["pax-utf8"] = pax((b"path", "Főtanúsítvány.crt".encode())) + entry(b"x", name=b"Ftanstvny.crt")
GOOD["pax-utf8-dir"] = pax((b"path", "ő/".encode())) + header(name=b"d", type=b"0")
GOOD["pax-latin"] = pax((b"path", b"caf\xe9")) + entry(b"x", name=b"caf")
GOOD["pax-binary"] = pax((b"hdrcharset", b"BINARY"), (b"path", b"caf\xe9")) + entry(b"x", name=b"caf")
GOOD["pax-mtime"] = b"".join(pax((b"mtime", t)) + header(name=n, mtime=0) for n, t in (
    (b"a", b"-1.5"), (b"b", b"-0.25"), (b"c", b"-3"), (b"d", b"-2.000"), (b"e", b"8589934593.9"), (b"f", b"5.")))
GOOD["pax-global"] = (pax((b"comment", b"0123456789abcdef"), type=b"g") + entry(b"x", name=b"a")
                      + pax((b"comment", b"another"), type=b"g") + entry(b"y", name=b"b"))
GOOD["raw-utf8"] = entry(b"x", name="ő".encode()) + entry(b"y", name=b"ustar\xff") + entry(b"z", name="é".encode(), magic=GNU)
GOOD["base256"] = entry(b"x", uid=base256(3000000, 8), gid=base256(70000, 8), mtime=base256(-5, 12),
                        size=base256(1, 12), magic=GNU)
GOOD["gnu-long"] = (long_name(b"n" * 300) + entry(b"x", name=b"n" * 100, magic=GNU) + long_name(b"k" * 200, b"K")
                    + long_name("ő".encode() * 100) + header(name=b"o", type=b"2", link=b"k" * 100, magic=GNU))
GOOD["sqfs2tar"] = (pax((b"SCHILY.xattr.user.a", b"b")) + long_name(b"n" * 150) + entry(b"x", name=b"tmp", magic=GNU))
GOOD["symlink-with-size"] = header(name=b"s", type=b"2", link=b"t", size=512) + entry(b"x", name=b"f")
GOOD["dir-with-size"] = header(name=b"d/", type=b"5", size=4096) + entry(b"x", name=b"f")
GOOD["empty-name"] = header(name=b"", type=b"5")
GOOD["dotdot"] = entry(b"x", name=b"../../etc/passwd") + entry(b"y", name=b"/abs") + header(name=b"./", type=b"5")
GOOD["stale-link"] = entry(b"x", name=b"f", link=b"stale") + header(name=b"d", type=b"5", link=b"stale")
GOOD["signed-checksum"] = header(name=b"\xe9", checksum=b"%06o\0 " % (
    sum(b if b < 128 else b - 256 for b in header(name=b"\xe9", checksum=b" " * 8))))
GOOD["sparse-gnu"] = (header(name=b"s", type=b"S", size=1024, magic=GNU,
                             tail=gnu_tail([(512, 512), (2048, 512), (4096, 0)], 4096)) + b"A" * 512 + b"B" * 512
                      + entry(b"x", name=b"next", magic=GNU))
many = [(i * 1024, 512) for i in range(30)]
GOOD["sparse-gnu-long"] = (header(name=b"s", type=b"S", size=30 * 512, magic=GNU,
                                  tail=gnu_tail(many, 40000, extended=True)) + gnu_block(many[4:25], extended=True)
                           + gnu_block(many[25:]) + b"".join(bytes([65 + i]) * 512 for i in range(30))
                           + entry(b"x", name=b"next"))
GOOD["sparse-0.0"] = sparse_0((b"GNU.sparse.numblocks", b"2"), (b"GNU.sparse.offset", b"10"), (b"GNU.sparse.numbytes", b"3"),
                              (b"GNU.sparse.offset", b"20"), (b"GNU.sparse.numbytes", b"2"), data=b"abcde", size=30)
GOOD["sparse-0.1"] = sparse_0((b"GNU.sparse.numblocks", b"2"), (b"GNU.sparse.name", b"real"),
                              (b"GNU.sparse.map", b"0,3,100,2"), data=b"abcde", size=102)
GOOD["sparse-1.0"] = sparse_1_0(5000, [(0, 512), (4000, 100)], b"A" * 512 + b"B" * 100) + entry(b"x", name=b"next")
GOOD["sparse-1.0-hole"] = sparse_1_0(5000, [], b"")
for name in GOOD:
    GOOD[name] += END
GOOD["trailing-zeros"] = GOOD["plain"] + b"\0" * 9001
GOOD["no-end"] = entry(b"x", name=b"f") + entry(b"y", name=b"g")
GOOD["no-end-no-padding"] = entry(b"x", name=b"f") + header(name=b"g", size=3) + b"abc"
GOOD["one-zero-block"] = entry(b"x", name=b"f") + b"\0" * 512
GOOD["nothing"] = b""

# ---- archives that must be refused ----

F = entry(b"x", name=b"f")
BAD["not-tar"] = b"#!/bin/sh\n" * 200
BAD["short"] = b"{}"
BAD["checksum"] = F + header(name=b"g", checksum=b"012345\0 ") + F
BAD["checksum-base256"] = F + header(name=b"g", checksum=b"\x80\0\0\0\0\0\x11\x11")
BAD["type-z"] = F + header(name=b"g", type=b"Z") + F
BAD["type-7"] = header(name=b"g", type=b"7") + F
BAD["type-v"] = header(name=b"label", type=b"V", magic=GNU) + F
BAD["type-solaris-x"] = header(name=b"g", type=b"X") + F
BAD["type-control"] = header(name=b"g", type=b"\x1b") + F
BAD["magic"] = header(name=b"g", magic=b"ustar 00") + F
BAD["magic-star"] = header(name=b"g", tail=b"p" * 155 + b"\0" * 8 + b"tar\0") + F
BAD["gnu-times"] = header(name=b"g", magic=GNU, prefix=b"a/prefix") + F
BAD["one-zero-block-then-entry"] = F + b"\0" * 512 + F
BAD["behind-end"] = F + END + b"\0" * 512 + F
BAD["behind-end-byte"] = F + END + b"\0" * 99 + b"x"
BAD["hardlink-data"] = header(name=b"h", type=b"1", link=b"f", size=4) + pad(b"data") + F
BAD["hardlink-pax-data"] = pax((b"size", b"4")) + header(name=b"h", type=b"1", link=b"f") + pad(b"data") + F
BAD["dir-pax-data"] = pax((b"size", b"512")) + header(name=b"d/", type=b"5") + F
BAD["slash-data"] = entry(b"data", name=b"d/")
BAD["slash-utf8-data"] = pax((b"path", "ő/".encode())) + entry(b"data", name=b"d")
BAD["uid-minus-one"] = pax((b"uid", b"4294967295")) + F
BAD["uid-negative"] = header(name=b"g", uid=base256(-2, 8)) + F
BAD["gid-huge"] = pax((b"gid", b"100000000000000000000")) + F
BAD["gid-octal"] = header(name=b"g", gid=b"0000 64\0") + F
BAD["mode-letters"] = header(name=b"g", mode=b"0000rw-\0") + F
BAD["mtime-huge"] = pax((b"mtime", b"100000000000000000000")) + F
BAD["mtime-range"] = pax((b"mtime", b"34359738369")) + F
BAD["mtime-past"] = header(name=b"g", mtime=base256(-2**40, 12)) + F
BAD["mtime-words"] = pax((b"mtime", b"1e9")) + F
BAD["size-negative"] = header(name=b"g", size=base256(-512, 12)) + F
BAD["size-huge"] = header(name=b"g", size=base256(2**60, 12)) + F
BAD["size-overflow"] = header(name=b"g", size=b"\xa0" + b"\xff" * 11) + F
BAD["size-pax-negative"] = pax((b"size", b"-512")) + F
BAD["size-pax-empty"] = pax((b"size", b"")) + F
BAD["device"] = header(name=b"g", type=b"3", major=4096) + F
BAD["global-path"] = pax((b"path", b"evil"), type=b"g") + F
BAD["global-size"] = pax((b"comment", b"x"), (b"size", b"10"), type=b"g") + F
BAD["global-uid"] = pax((b"uid", b"0"), type=b"g") + F
BAD["global-inside"] = pax((b"path", b"a")) + pax((b"comment", b"x"), type=b"g") + F
BAD["globals"] = pax((b"comment", b"x"), type=b"g") * 17 + F
BAD["pax-twice"] = pax((b"path", b"a"), (b"uid", b"1"), (b"path", b"b")) + F
BAD["pax-nul"] = pax((b"path", b"good\0/../../evil")) + F
BAD["pax-nul-key"] = pax((b"pa\0th", b"x")) + F
BAD["pax-nul-uname"] = pax((b"uname", b"a\0b")) + F
BAD["pax-empty-path"] = pax((b"path", b"")) + F
BAD["pax-no-equals"] = pax(b"9 abcdef\n") + F
BAD["pax-no-key"] = pax(b"6 =ab\n") + F
BAD["pax-no-newline"] = pax(b"10 path=ab") + F
BAD["pax-length"] = pax(b"99 path=a\n") + F
BAD["pax-length-short"] = pax(b"3 path=a\n") + F
BAD["pax-length-letters"] = pax(b"0xa path=a\n") + F
BAD["pax-rest"] = pax(record(b"path", b"a") + b"\0\0\0") + F
BAD["pax-l-key"] = pax((b"LX", b"1")) + F
BAD["pax-chain"] = pax((b"path", b"a")) * 5000 + F
BAD["pax-large"] = pax((b"comment", b"c" * (1 << 21))) + F
BAD["pax-alone"] = F + pax((b"path", b"a"))
BAD["pax-and-long"] = pax((b"path", b"a" * 200)) + long_name(b"b" * 200) + F
BAD["pax-and-long-link"] = (long_name(b"b" * 200, b"K") + pax((b"linkpath", b"a" * 200))
                            + header(name=b"s", type=b"2", link=b"b"))
BAD["long-twice"] = long_name(b"a" * 200) + long_name(b"b" * 200) + F
BAD["long-empty"] = header(name=b"././@LongLink", type=b"L") + F
BAD["long-nul"] = long_name(b"good\0/../evil") + F
BAD["long-alone"] = long_name(b"a" * 200)
BAD["symlink-empty"] = header(name=b"s", type=b"2") + F
BAD["hardlink-empty"] = header(name=b"h", type=b"1") + F
BAD["xattr-two-values"] = pax((b"SCHILY.xattr.user.a", b"1"), (b"LIBARCHIVE.xattr.user.a", b"Mg")) + F
BAD["holesdata"] = pax((b"SUN.holesdata", b" 0 100")) + F
BAD["schily-realsize"] = pax((b"SCHILY.realsize", b"100")) + F
BAD["sparse-stray"] = header(name=b"g", magic=GNU, tail=gnu_tail([(0, 512)], 512)) + F
BAD["sparse-stray-size"] = header(name=b"g", magic=GNU, tail=gnu_tail([], 512)) + F
BAD["sparse-ustar"] = header(name=b"g", type=b"S", tail=gnu_tail([(0, 0)], 0)) + F
BAD["sparse-no-map"] = header(name=b"g", type=b"S", magic=GNU, tail=gnu_tail([], 512, extended=True)) + F
BAD["sparse-no-size"] = header(name=b"g", type=b"S", magic=GNU, tail=gnu_tail([(0, 0)], None)) + F
BAD["sparse-order"] = header(name=b"g", type=b"S", magic=GNU, size=1024,
                             tail=gnu_tail([(1024, 512), (0, 512)], 4096)) + b"A" * 1024
BAD["sparse-overlap"] = header(name=b"g", type=b"S", magic=GNU, size=1024,
                               tail=gnu_tail([(0, 512), (511, 512)], 4096)) + b"A" * 1024
BAD["sparse-beyond"] = header(name=b"g", type=b"S", magic=GNU, size=512,
                              tail=gnu_tail([(4096, 512)], 4096)) + b"A" * 512
BAD["sparse-stored"] = header(name=b"g", type=b"S", magic=GNU, size=512,
                              tail=gnu_tail([(0, 1024)], 4096)) + b"A" * 512
negative = bytearray(gnu_tail([(0, 512)], 4096))
negative[41 + 12:41 + 24] = base256(-1, 12)
BAD["sparse-negative"] = header(name=b"g", type=b"S", magic=GNU, size=512, tail=bytes(negative)) + b"A" * 512
BAD["sparse-empty-block"] = (header(name=b"g", type=b"S", magic=GNU, size=512,
                                    tail=gnu_tail([(0, 512)], 512, extended=True)) + gnu_block([], extended=True)
                             + gnu_block([]) + b"A" * 512)
BAD["sparse-on-dir"] = pax((b"GNU.sparse.size", b"5"), (b"GNU.sparse.map", b"0,0")) + header(name=b"d", type=b"5")
BAD["sparse-size-alone"] = pax((b"GNU.sparse.realsize", b"5")) + F
BAD["sparse-version"] = sparse_1_0(512, [(0, 512)], b"A" * 512).replace(b"GNU.sparse.major=1", b"GNU.sparse.major=2")
BAD["sparse-0-pairs"] = sparse_0((b"GNU.sparse.numblocks", b"1"), (b"GNU.sparse.offset", b"0"), data=b"abc")
BAD["sparse-0-order"] = sparse_0((b"GNU.sparse.offset", b"0"), (b"GNU.sparse.numbytes", b"3"), data=b"abc")
BAD["sparse-0-count"] = sparse_0((b"GNU.sparse.numblocks", b"2"), (b"GNU.sparse.offset", b"0"),
                                 (b"GNU.sparse.numbytes", b"3"), data=b"abc")
BAD["sparse-0-map"] = sparse_0((b"GNU.sparse.map", b"0,3,5"), data=b"abc")
BAD["sparse-0-map-words"] = sparse_0((b"GNU.sparse.map", b"0,x"), data=b"abc")
BAD["sparse-1-lines"] = sparse_1_0(512, [], b"A" * 512, lines=b"1\n0\nx\n")
BAD["sparse-1-no-end"] = sparse_1_0(512, [], b"", lines=b"1\n0\n")
BAD["sparse-1-count"] = sparse_1_0(512, [], b"A" * 512, lines=b"999999999\n0\n512\n")
BAD["sparse-1-stored"] = sparse_1_0(5000, [(0, 512)], b"A" * 1024)
BAD["sparse-1-huge"] = sparse_1_0(1 << 62, [(0, 1)], b"A")
BAD["sparse-unknown"] = pax((b"GNU.sparse.new", b"5")) + F
for name in BAD:
    if name not in ("not-tar", "short", "behind-end", "behind-end-byte"):
        BAD[name] += END
BAD["no-end"] = F
BAD["cut-header"] = F + F[:300]
BAD["cut-data"] = F + header(name=b"g", size=2000) + b"A" * 1999
BAD["cut-pax"] = F + pax((b"path", b"p" * 800))[:1100]
BAD["cut-long"] = F + long_name(b"p" * 800)[:1000]


# ---- archives by other programs ----


def real_tree(top):
    tree = os.path.join(top, "tree")
    os.makedirs(os.path.join(tree, "sub"))
    for name, data in ((b"f", b"hello\n"), (b"big", bytes(i * i % 251 for i in range(70000))), (b"suid", b"x"),
                       ("Főtanúsítvány.crt".encode(), b"cert"), (b"latin\xe9", b"l"), (b"n" * 180, b"long")):
        with open(os.path.join(tree.encode(), name), "wb") as file:
            file.write(data)
    os.symlink("f", os.path.join(tree, "soft"))
    os.symlink("Főtanúsítvány.crt", os.path.join(tree, "ő"))
    os.symlink("m" * 250, os.path.join(tree, "longlink"))
    os.link(os.path.join(tree, "f"), os.path.join(tree, "hard"))
    os.mkfifo(os.path.join(tree, "fifo"))
    with open(os.path.join(tree, "sparse"), "wb") as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(b"middle")
    try:
        os.setxattr(os.path.join(tree, "f"), "user.text", b"value")
        os.setxattr(os.path.join(tree, "f"), "user.bin", b"\0\1\n=\xff")
    except OSError:
        print("no extended attributes here", file=sys.stderr)
    os.chmod(os.path.join(tree, "suid"), 0o4755)
    for path in glob.glob(tree + "/**", recursive=True):
        os.utime(path, (TIME, TIME), follow_symlinks=False)
    os.utime(os.path.join(tree, "big"), ns=(0, -1500000000))
    return tree


def run(*command):
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def by_gnu_tar(top, made):
    common = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-C", top]
    # As mmdebstrap does; the default is the number of the process.
    steady = "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"
    for form in ("v7", "oldgnu", "gnu", "ustar", "posix"):
        # v7 and ustar leave out what does not fit, with a status of 2.
        subprocess.run(["tar", "--format=" + form, *([steady] if form == "posix" else []), "-cf", f"{top}/gtar-{form}.tar", *common, "tree"],
                       stderr=subprocess.DEVNULL)
        made.append(f"gtar-{form}")
    run("tar", "--format=pax", "--xattrs", steady, "-cf", f"{top}/gtar-xattrs.tar", *common, "tree/f", "tree/suid")
    run("tar", "--format=oldgnu", "-S", "-cf", f"{top}/gtar-sparse-gnu.tar", *common, "tree/sparse", "tree/f")
    made += ["gtar-xattrs", "gtar-sparse-gnu"]
    for version in ("0.0", "0.1", "1.0"):
        run("tar", "--format=pax", "-S", "--sparse-version=" + version, steady, "-cf",
            f"{top}/gtar-sparse-{version}.tar", *common, "tree/sparse", "tree/f")
        made.append(f"gtar-sparse-{version}")


def by_busybox(top, made):
    if shutil.which("busybox"):
        run("busybox", "tar", "-cf", f"{top}/busybox.tar", "-C", top, "tree")
        made.append("busybox")


def by_python(top, made):
    for form, number in (("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
        with tarfile.open(f"{top}/python-{form}.tar", "w", format=number) as archive:
            archive.add(top + "/tree", "tree")
        made.append(f"python-{form}")


def by_libarchive(top, made):
    """bsdtar's pax writer, called as a library: both kinds of attribute records."""
    try:
        lib = ctypes.CDLL("libarchive.so.13")
    except OSError:
        return
    for function in ("archive_write_new", "archive_entry_new"):
        getattr(lib, function).restype = ctypes.c_void_p
    archive, item = ctypes.c_void_p(lib.archive_write_new()), ctypes.c_void_p(lib.archive_entry_new())
    lib.archive_write_set_format_pax(archive)
    lib.archive_write_open_filename(archive, f"{top}/libarchive-pax.tar".encode())
    for name, data in ((b"f", b"hello\n"), (b"l" * 300, b"long"), ("ő".encode(), b"x")):
        lib.archive_entry_clear(item)
        lib.archive_entry_copy_pathname(item, name)
        lib.archive_entry_set_mode(item, 0o100644)
        lib.archive_entry_set_size(item, ctypes.c_int64(len(data)))
        lib.archive_entry_set_uid(item, ctypes.c_int64(5000000))
        lib.archive_entry_set_mtime(item, ctypes.c_int64(TIME), ctypes.c_long(123456789))
        lib.archive_entry_xattr_add_entry(item, b"user.bin", b"\0\1\n=\xff", ctypes.c_size_t(5))
        lib.archive_write_header(archive, item)
        lib.archive_write_data(archive, data, ctypes.c_size_t(len(data)))
    lib.archive_write_close(archive)
    made.append("libarchive-pax")


def by_umoci(top, made):
    """Go's archive/tar, without padding and end: umoci 0.4.7 insert."""
    if not shutil.which("umoci"):
        return
    image = top + "/image"
    run("umoci", "init", "--layout", image)
    run("umoci", "new", "--image", image + ":a")
    run("umoci", "insert", "--rootless", "--image", image + ":a", top + "/tree/" + "n" * 180, "/" + "n" * 180)
    run("umoci", "insert", "--rootless", "--image", image + ":a", top + "/tree/sub", "/sub")
    run("umoci", "insert", "--rootless", "--image", image + ":a", top + "/tree/soft", "/soft")
    number = 0
    for blob in sorted(glob.glob(image + "/blobs/sha256/*")):
        with open(blob, "rb") as file:
            if file.read(2) != b"\x1f\x8b":
                continue
        with gzip.open(blob) as file, open(f"{top}/umoci-{number}.tar", "wb") as out:
            out.write(file.read())
        made.append(f"umoci-{number}")
        number += 1


def add_real():
    made = []
    with tempfile.TemporaryDirectory() as top:
        real_tree(top)
        for maker in (by_gnu_tar, by_busybox, by_python, by_libarchive, by_umoci):
            maker(top, made)
        for name in made:
            with open(f"{top}/{name}.tar", "rb") as file:
                GOOD["real-" + name] = file.read()


# ---- what they hold ----


def escape(data):
    return b"".join(b"%c" % b if 0x21 <= b <= 0x7e and b != 0x5c else b"\\x%02x" % b for b in data)


def xattrs_of(item):
    found = {}
    for key, value in item.pax_headers.items():
        if key.startswith("SCHILY.xattr."):
            found[os.fsencode(key[13:])] = value.encode("utf-8", "surrogateescape")
    return found


def type_of(item):
    return {tarfile.LNKTYPE: b"h", tarfile.SYMTYPE: b"l", tarfile.CHRTYPE: b"c", tarfile.BLKTYPE: b"b",
            tarfile.DIRTYPE: b"d", tarfile.FIFOTYPE: b"p"}.get(item.type, b"-")


def listing(data):
    lines = []
    # Python wants the end of an archive. Names are bytes, in pax headers too.
    with tarfile.open(fileobj=io.BytesIO(pad(data) + END), mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
        for item in archive:
            name = item.name.encode("utf-8", "surrogateescape")
            link = item.linkname.encode("utf-8", "surrogateescape")
            is_file = type_of(item) == b"-"
            content = archive.extractfile(item).read() if is_file else b""
            line = b"%s %04o %d:%d %d %d %d:%d %s" % (
                type_of(item), item.mode & 0o7777, item.uid, item.gid, item.size if is_file else 0,
                int(item.mtime // 1), item.devmajor if type_of(item) in b"cb" else 0,
                item.devminor if type_of(item) in b"cb" else 0, escape(name.rstrip(b"/")))
            if type_of(item) in b"hl":
                line += b" -> " + escape(link)
            if is_file:
                line += b" " + hashlib.sha256(content).hexdigest().encode()
            for key, value in sorted(xattrs_of(item).items()):
                line += b" " + escape(key) + b"=" + escape(value)
            lines.append(line + b"\n")
    return b"".join(lines)


def write(name, data):
    with open(os.path.join(OUT, name), "wb") as file:
        file.write(data)


def write_seeds():
    """A byte of flags, then a tar whose checksums fuzz-tar.c fills in."""
    top = os.path.join(os.path.dirname(OUT), "..", "fuzz", "corpus", "tar")
    os.makedirs(top, exist_ok=True)
    for name in ("types", "v7", "prefix", "pax-all", "pax-mtime", "pax-global", "pax-link-alone", "gnu-long", "base256",
                 "sparse-gnu", "sparse-gnu-long", "sparse-0.0", "sparse-0.1", "sparse-1.0"):
        data = bytearray(GOOD[name])
        for at in range(0, len(data), 512):
            if data[at + 154:at + 156] == b"\0 ":
                data[at + 148:at + 156] = b"fuzz\0\0\0\0"
        with open(os.path.join(top, name), "wb") as file:
            file.write(b"\3" + data)


def main():
    os.makedirs(OUT, exist_ok=True)
    write_seeds()
    add_real()
    for name, data in GOOD.items():
        write(f"good-{name}.tar.gz", gzip.compress(data, 9, mtime=0))
        write(f"good-{name}.list", LISTS.get(name) or listing(data))
    for name, data in BAD.items():
        write(f"bad-{name}.tar.gz", gzip.compress(data, 9, mtime=0))


if __name__ == "__main__":
    main()
