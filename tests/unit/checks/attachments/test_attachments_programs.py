"""Archives that only a program of others opens: the real 7-Zip, confined, and one that lies."""

from hashlib import sha256

import pytest

from mpp.checks.attachments.helper import Helper
from mpp.checks.attachments.inspect import inspect
from mpp.checks.attachments.item import File, Flag, Limits, Means, Unpacked
from mpp.checks.attachments.unpacking import find_unpacker
from servers.attachments import PROGRAM, packed, szdd, zipped
from servers.installed import installed

WORDS = b"hidden words\n"


@pytest.fixture(scope="module")
def helper():
    installed("7z")
    with Helper(find_unpacker()) as running:
        yield running


def seven(*more):
    return lambda folder: packed(folder, ["7z", "a", "-bd", *more], "a.7z", WORDS)


ARCHIVES = {
    "arj": lambda folder: packed(folder, [installed("arj"), "a"], "a.arj", WORDS),
    "szdd": lambda folder: szdd(WORDS),
    "wim": lambda folder: packed(folder, ["7z", "a", "-bd", "-twim"], "a.wim", WORDS),
    "7z-ppc": seven("-m0=PPC", "-m1=LZMA"),
    "7z-arm64": seven("-m0=ARM64", "-m1=LZMA2"),
    "7z-deflate64": seven("-m0=Deflate64"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_what_libarchive_does_not_know_is_opened(helper, tmp_path, kind):
    outer, *inner = helper.inspect([File("1", "a", "", ARCHIVES[kind](tmp_path))], Limits())
    assert (outer.flags, [item.sha256 for item in inner if item.size]) == (frozenset(), [sha256(WORDS).hexdigest()])


def test_also_inside_other_archives(helper):
    items = helper.inspect([File("1", "a.zip", "", zipped({"setup.ex_": szdd(PROGRAM)}))], Limits())
    assert (items[-1].type, "executable" in items[-1].flags) == ("application/vnd.microsoft.portable-executable", True)


def test_without_a_program_it_is_unchecked():
    with Helper() as alone:
        assert alone.inspect([File("1", "a", "", szdd(WORDS))], Limits())[0].flags == {Flag.DAMAGED, Flag.UNCHECKED}


@pytest.mark.parametrize("program", ["/bin/false", "/bin/true", "/nowhere/7z"])
def test_a_program_that_fails_leaves_it_unchecked(program):
    with Helper(program) as helper:
        files = [File("1", "a", "", szdd(WORDS)), File("2", "b.txt", "", WORDS)]
        first, second = helper.inspect(files, Limits())
        assert (first.flags, second.flags) == ({Flag.DAMAGED, Flag.UNCHECKED}, frozenset())


def test_a_bomb_is_ended(helper, tmp_path):
    data = packed(tmp_path, ["7z", "a", "-bd", "-m0=ARM64", "-m1=LZMA2"], "a.7z", bytes(30 << 20))
    assert Flag.BOMB in helper.inspect([File("1", "a.7z", "", data)], Limits())[0].flags


@pytest.mark.parametrize("options", [["-m0=LZMA2"], ["-m0=LZMA2", "-mhe=on"]], ids=["members", "names-too"])
def test_an_encrypted_one_opens_with_a_password_of_the_message(helper, tmp_path, options):
    data = packed(tmp_path, ["7z", "a", "-bd", "-pletmein", *options], "a.7z", WORDS)
    outer, inner = helper.inspect([File("1", "a.7z", "", data)], Limits(), ["wrong", "letmein"])
    assert (inner.name, inner.sha256) == ("secret.txt", sha256(WORDS).hexdigest())
    assert outer.flags == {Flag.ENCRYPTED}
    assert Flag.ENCRYPTED in helper.inspect([File("1", "a.7z", "", data)], Limits(), ["wrong"])[0].flags


ENTRY = b"Path = a.txt\nSize = %d\n\n"


@pytest.mark.parametrize(
    ("listing", "content"),
    [
        (ENTRY % 5 + ENTRY % 5, WORDS),
        (ENTRY % (1 << 40) + ENTRY % 1, WORDS),
        (b"Path = a\nSize = -1\n\n" + ENTRY % 14, WORDS),
        (b"\xff\xff = \n\nSize\n\n", WORDS),
    ],
)
def test_where_listing_and_content_disagree_all_is_looked_at(listing, content):
    means = Means(unpack=lambda data, password, most: Unpacked(listing, content, True, False))
    items = inspect([File("1", "a", "", szdd(b""))], Limits(), means)
    assert items[-1].sha256 == sha256(content).hexdigest()
