"""Passwords that a message tells of its own attachments."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpp.checks.attachments.check import Attachments
from mpp.checks.attachments.helper import Helper
from mpp.checks.attachments.inspect import inspect
from mpp.checks.attachments.inspector import Inspector
from mpp.checks.attachments.item import File, Flag, Limits, Means
from mpp.checks.attachments.passwords import MOST, passwords_in, passwords_of
from mpp.checks.attachments.policy import Rulebook
from mpp.checks.attachments.settings import Inspection
from mpp.mail.message import Message
from servers.attachments import mail, packed
from servers.transactions import a_transaction


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("The password is: infected", "infected"),
        ("Password for the attached file is letmein.", "letmein"),
        ("Das Passwort lautet \u201eGeheim!7\u201c", "Geheim!7"),
        ("Kennwort: a.b,c;", "a.b,c"),
        ("Mot de passe : sésame", "sésame"),
        ("La contrase\u00f1a es\n\n  Abc-123\n", "Abc-123"),
        ("\u043f\u0430\u0440\u043e\u043b\u044c 777", "777"),
        ("See the invoice. PW=2026x", "2026x"),
        ('Open it with "opensesame" please', "opensesame"),
        ("Please use 8Gh4kk2 to open it", "8Gh4kk2"),
        ("pass: what?", "what?"),
    ],
)
def test_it_is_among_the_first(text, password):
    assert password in passwords_in([text])[:12]


def test_what_is_announced_comes_before_what_only_looks_so():
    found = passwords_in(["Order A1b2c3 of room 12b.\nThe password is secret99"])
    assert found.index("secret99") < found.index("A1b2c3")


def test_a_text_without_any_gives_none():
    assert passwords_in(["Hello,\nplease find the invoice attached.\nRegards"]) == []


def test_the_texts_of_a_mail_are_looked_at_and_its_files_are_not():
    message = Message(
        b"Subject: =?utf-8?q?Passwort_f=C3=BCr_den_Anhang:_gr=C3=BCn7?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n<p>Password:</p><b>a&amp;b</b>\r\n"
        b"--b\r\nContent-Type: text/plain; name=x.txt\r\n\r\nPassword: nothere\r\n--b--\r\n"
    )
    found = passwords_of(message)
    assert {"gr\u00fcn7", "a&b"} <= set(found)
    assert "nothere" not in found


def test_of_many_texts_no_more_is_read_than_of_one():
    asked = []

    def texts():
        for number in range(40):
            asked.append(number)
            yield "password " * 8000

    assert passwords_in(texts()) == ["password"]
    assert asked == [0]


def test_words_that_announce_without_end_hide_no_other_kind():
    assert passwords_in(["pin " * 1000 + 'use "opensesame"'])[-1] == "opensesame"
    assert "behind" not in passwords_in(["pin a b c " * 250 + "pin: behind"])


@given(st.lists(st.text(max_size=300), max_size=4))
def test_any_text_gives_few(texts):
    found = passwords_in(texts)
    assert len(found) <= MOST
    assert len(set(found)) == len(found)


def test_the_rest_of_an_archive_opens_with_what_opened_the_first(tmp_path):
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode() * 100)
    data = packed(tmp_path, ["zip", "-q", "-P", "secret99", "a.zip", "a", "b", "c"], "a.zip")
    words = [f"wrong{n}" for n in range(50)] + ["secret99"]
    outer, *inner = inspect([File("1", "a.zip", "", data)], Limits(), Means(words))
    assert [item.size for item in inner] == [100, 100, 100, 13]
    assert all(Flag.ENCRYPTED in item.flags for item in (outer, *inner))
    assert all(before.path < after.path for before, after in pairwise(inner))


@pytest.fixture
def locked_mail(tmp_path):
    archive = packed(tmp_path, ["zip", "-q", "-P", "letmein"], "a.zip")
    return mail("a.zip", archive).replace(b"Hello", b"The password: letmein")


@pytest.mark.parametrize("search", [True, False])
def test_a_whole_mail_opens_with_its_own_words(locked_mail, search):
    with Helper() as helper:
        *_, inner = helper.inspect_whole(locked_mail, "a.eml", Limits(), search=search)
    assert (inner.name, inner.size) == ("secret.txt", 13 if search else 0)


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_check_uses_them_where_the_settings_want_it(locked_mail, wanted):
    inspector = Inspector()
    check = Attachments(Rulebook((), {}), Inspection(passwords=wanted), inspector)
    found = await check.judge(Message(locked_mail), a_transaction(), 30.0)
    await inspector.close()
    assert any("secret.txt" in each.text and "13 octets" in each.text for each in found) is wanted
