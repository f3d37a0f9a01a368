"""The sample mails, and what is said to have become of them."""

from importlib import resources

import pytest

from mpp.cli.inbox import Arrived
from mpp.cli.samples import Fate, Sample, Sent, closing_line, fate_of, load_samples, match

SAMPLE = Sample(
    "a letter", "ann@example.net", "bob@example.org", b"Subject: Lunch\r\nMessage-ID: <1@x>\r\n\r\nNoon\r\n"
)


def arrived(raw: bytes, *recipients: str) -> Arrived:
    return Arrived("ann@example.net", recipients or ("bob@example.org",), raw)


@pytest.mark.parametrize(
    ("code", "text", "came", "fate"),
    [
        (250, "2.0.0 Ok", SAMPLE.raw, Fate.DELIVERED),
        (250, "2.0.0 Ok", b"X-Spam-Flag: YES\r\n" + SAMPLE.raw, Fate.TAGGED),
        (250, "2.0.0 Ok", SAMPLE.raw.replace(b"Lunch", b"***SPAM*** Lunch"), Fate.TAGGED),
        (250, "2.0.0 Ok", b"X-Spam-Flag: NO\r\n" + SAMPLE.raw, Fate.DELIVERED),
        (250, "2.7.0 Ok, discarded, id=1", None, Fate.DISCARDED),
        (250, "2.0.0 Ok, quarantined, id=1", None, Fate.LOST),  # words alone are no proof
        (250, "2.0.0 Ok", None, Fate.LOST),
        (554, "5.7.1 Refused", None, Fate.REFUSED),
        (451, "4.3.0 Later", None, Fate.DEFERRED),
        (0, "no answer", None, Fate.DEFERRED),
    ],
)
def test_a_fate_is_what_sender_and_inbox_say(code: int, text: str, came: bytes | None, fate: Fate) -> None:
    assert fate_of(Sent(SAMPLE, code, text), arrived(came) if came else None) is fate


def test_what_is_held_is_known_by_message_id_and_recipient() -> None:
    sent = Sent(SAMPLE, 250, "2.0.0 Ok, taken")
    assert fate_of(sent, None, {("<1@x>", "bob@example.org")}) is Fate.QUARANTINED
    assert fate_of(sent, None, {("<1@x>", "carol@example.org")}) is Fate.LOST


def test_arrivals_are_known_by_message_id_and_recipient() -> None:
    other = Sample("to another", "ann@example.net", "carol@example.org", SAMPLE.raw)
    sent = [Sent(each, 250, "") for each in (SAMPLE, other)]
    there = arrived(b"Received: x\r\n" + SAMPLE.raw, "carol@example.org")
    assert match([there], sent) == {1: there}


def test_the_numbers_add_up() -> None:
    fates = [Fate.DELIVERED, Fate.DELIVERED, Fate.TAGGED, Fate.REFUSED, Fate.DEFERRED]
    assert closing_line(fates) == (
        "demo: 5 sent, 2 delivered, 1 tagged, 0 quarantined, 1 refused, 0 discarded, 1 deferred, 0 lost"
    )


def test_every_sample_file_is_sent_with_crlf_and_a_message_id_of_its_own() -> None:
    samples = list(load_samples())
    assert all(sample.raw.endswith(b"\r\n") for sample in samples)
    bare = [sample.about for sample in samples if sample.raw.replace(b"\r\n", b"").count(b"\n")]
    assert bare == ["two mails in one by a bare LF"]
    names = {entry.name for entry in (resources.files("mpp") / "samples").iterdir() if entry.name.endswith(".eml")}
    listed = (resources.files("mpp") / "samples" / "samples.toml").read_text("utf-8")
    assert [name for name in names if f'"{name}"' not in listed] == []
    keys = [(sample.raw.partition(b"Message-ID: ")[2].split(b"\r\n")[0], sample.recipient) for sample in samples]
    assert len(set(keys)) == len(samples)


def test_the_large_one_has_its_size() -> None:
    (large,) = (sample for sample in load_samples() if sample.about.startswith("2 MiB"))
    assert 2_097_152 - 60 < len(large.raw) <= 2_097_152


def test_no_sample_names_a_domain_of_others() -> None:
    for sample in load_samples():
        for address in (sample.reverse_path, sample.recipient):
            assert not address or address.rpartition("@")[2].endswith(("example.org", "example.net", "example.com"))
