"""Campaign memory: what is alike is known, what is not is left to the scanners, and nobody can aim it at others for long."""

from collections import Counter
from pathlib import Path

import pytest

from bench.campaign_mail import Mail, Mix, stream
from mpp.checks.campaigns.memory import Known, Memory
from mpp.checks.campaigns.settings import Campaigns
from mpp.checks.campaigns.signature import MOST_OCTETS, signature, visible
from mpp.mail.message import Message
from mpp.net.shared import Learned, Stamps, key_of

WORDS = [
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "foxtrot",
    "golf",
    "hotel",
    "india",
    "juliet",
    "kilo",
    "lima",
    "mike",
    "november",
    "oscar",
    "papa",
    "quebec",
]
TEXT = " ".join(f"{one}{other}" for one in WORDS for other in WORDS[:6])


def text_mail(text: str, kind: str = "text/plain") -> Message:
    return Message(f"Content-Type: {kind}\r\n\r\n{text}\r\n".encode())


def keys(text: str, kind: str = "text/plain") -> tuple[int, ...]:
    found = signature(text_mail(text, kind))
    assert found is not None
    return found.text


def shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return len(set(one) & set(other))


def test_numbers_markup_and_urls_make_no_difference() -> None:
    html = "<style>p { color: red }</style><p class=x>" + TEXT.replace(" ", "</p>\n<p id='42'>") + "<!-- other --></p>"
    assert keys(html, "text/html") == keys(TEXT.upper()) == keys(f"{TEXT} 17 4,711")
    assert shared(keys(TEXT), keys(f"{TEXT} https://x.example/a?b=cdefg and")) >= 30


def test_a_change_of_some_words_leaves_most_keys() -> None:
    words = TEXT.split()
    words[10], words[50], words[90] = "one", "two", "three"
    assert shared(keys(TEXT), keys(" ".join(words))) >= 20
    assert shared(keys(TEXT), keys(" ".join(reversed(words)))) == 0


@pytest.mark.parametrize(
    "message",
    [
        text_mail("too short to say anything"),
        text_mail(TEXT + "x" * MOST_OCTETS),
        text_mail(TEXT + " " + " ".join(f"http://h{number}.example/" for number in range(100))),
        Message(b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 50),
        Message(b""),
    ],
)
def test_what_has_no_signature(message: Message) -> None:
    assert signature(message) is None


def test_hosts_and_attachments_are_part_of_it() -> None:
    part = 'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\n%s\r\n--b\r\nContent-Type: application/pdf\r\n\r\n%s\r\n--b--\r\n'
    one = signature(Message((part % (TEXT + " http://A.example/1", "one")).encode()))
    two = signature(Message((part % (TEXT + " http://user@a.example:80/2", "two")).encode()))
    assert one is not None
    assert two is not None
    assert (len(one.rest), len(two.rest), len(set(one.rest) & set(two.rest))) == (2, 2, 1)


@pytest.mark.parametrize(
    "html", [b"<" * 50_000, b"<style" * 9000, b"<script><style></script>", b"a<b", b"\xc4\xb0<style>x"]
)
def test_any_html_is_read(html: bytes) -> None:
    assert len(visible(html)) <= len(html) + 1


class Node:
    """A node's memory as its workers see it, with a clock."""

    def __init__(self, workers: int = 1, **settings: object) -> None:
        learned = Learned(workers)
        self.workers = [Memory(Campaigns(**settings), learned, slot) for slot in range(workers)]
        self.now = 5.0
        self.sent = 0

    def spam(self, message: Message, times: int = 1, worker: int = 0, score: float = 12.0) -> None:
        for _ in range(times):
            self.sent += 1
            self.learn(message, score, f"sender{self.sent}", worker)

    def learn(self, message: Message, score: float | None, envelope: str = "", worker: int = 0) -> None:
        content = signature(message)
        assert content is not None
        self.workers[worker].learn(content, score, envelope, self.now)

    def recall(self, message: Message, worker: int = 0) -> Known | None:
        content = signature(message)
        return None if content is None else self.workers[worker].recall(content, self.now)


CAMPAIGN = text_mail(TEXT + " http://spam.example/")


def test_known_from_enough_envelopes_on_by_all_workers() -> None:
    node = Node(2, envelopes=4)
    node.spam(CAMPAIGN, 2)
    node.spam(CAMPAIGN, 2, worker=1, score=8.0)
    assert node.recall(CAMPAIGN) is None  # the first was only noted
    node.spam(CAMPAIGN, 2)
    for worker in (0, 1):
        known = node.recall(CAMPAIGN, worker)
        assert known is not None
        assert 4 <= known.envelopes <= 5
        assert 8 < known.score < 12


def test_one_envelope_again_and_again_is_no_campaign() -> None:
    node = Node(envelopes=3)
    for _ in range(20):
        node.learn(CAMPAIGN, 12.0, "same")
    assert node.recall(CAMPAIGN) is None


def test_it_is_forgotten_after_its_time() -> None:
    node = Node(envelopes=3, within=1800.0)
    node.spam(CAMPAIGN, 8)
    node.now += 1700
    assert node.recall(CAMPAIGN)
    node.now += 200
    assert node.recall(CAMPAIGN) is None
    node.spam(CAMPAIGN, 2)
    assert node.recall(CAMPAIGN) is None  # what was before does not count any more


def test_another_host_or_attachment_goes_to_the_scanners() -> None:
    node = Node(envelopes=3)
    node.spam(CAMPAIGN, 8)
    assert node.recall(text_mail(TEXT + " http://other.example/")) is None
    assert node.recall(text_mail(TEXT)) is not None


def test_what_was_ham_is_never_decided() -> None:
    node = Node(envelopes=3, ham_for=7200.0)
    node.learn(CAMPAIGN, None)
    node.spam(CAMPAIGN, 30)
    assert node.recall(CAMPAIGN) is None
    node.now += 7300
    node.spam(CAMPAIGN, 30)
    assert node.recall(CAMPAIGN) is not None


@pytest.mark.parametrize("recheck", [2, 10])
def test_a_poisoned_text_harms_fewer_than_recheck_messages_a_worker(recheck: int) -> None:
    """Somebody sends the words, links and attachments of a newsletter so that the scanners call it spam."""
    node = Node(2, envelopes=3, recheck=recheck)
    for _ in range(5):  # as often as he likes
        node.spam(CAMPAIGN, 40)
    wrong = Counter[int]()
    for number in range(200):  # the real newsletter comes, which the scanners call ham
        worker = number % 2
        if node.recall(CAMPAIGN, worker):
            wrong[worker] += 1
        else:
            node.learn(CAMPAIGN, None, f"reader{number}", worker)
    assert 0 < wrong.total() <= 2 * (recheck - 1)
    node.spam(CAMPAIGN, 100)
    assert node.recall(CAMPAIGN) is None  # and to send it again helps nobody


def judged_by(node: Node, mails: list[Mail]) -> tuple[Counter[str], Counter[str]]:
    """Run a stream past scanners that are always right; return what memory decided, by kind, and all there was."""
    decided, seen = Counter[str](), Counter[str]()
    for mail in mails:
        message = Message(mail.raw)
        seen[mail.kind] += 1
        if node.recall(message):
            decided[mail.kind] += 1
        elif (content := signature(message)) is not None:
            score = 13.5 if mail.kind in ("campaign", "spam") else None
            node.workers[0].learn(content, score, (mail.sender, mail.recipient), node.now)
    return decided, seen


@pytest.mark.parametrize("seed", range(3))
def test_a_stream_of_campaigns_and_newsletters(seed: int) -> None:
    decided, seen = judged_by(Node(), stream(seed, Mix(1000)))
    assert decided["newsletter"] == decided["letter"] == 0
    assert decided["campaign"] >= 0.6 * seen["campaign"]


def test_without_campaigns_no_ham_is_decided() -> None:
    decided, seen = judged_by(Node(), stream(9, Mix(300, campaigns=0.0)))
    assert min(seen["newsletter"], seen["letter"]) > 50
    assert decided["newsletter"] == decided["letter"] == 0


@pytest.mark.corpus
def test_no_mail_of_the_corpora_is_taken_for_a_campaign(corpora: Path) -> None:
    node, looked = Node(), 0
    judged_by(node, stream(1, Mix(600)))
    for file in sorted(corpora.rglob("*.eml")):
        message = Message(file.read_bytes())
        looked += signature(message) is not None
        assert node.recall(message) is None, file.name
    assert looked > 100


@pytest.mark.corpus
def test_what_is_alike_in_the_corpora_is_so_by_its_words(corpora: Path) -> None:
    """Each mail in its turn is made a campaign; others are then known for most of its keys alone, and few are."""
    files = [file for file in sorted(corpora.rglob("*.eml")) if file.stat().st_size < 60_000][::7]
    contents = [(file, content) for file in files if (content := signature(Message(file.read_bytes())))]
    known = pairs = 0
    for number, (_, content) in enumerate(contents[::10]):
        node = Node(envelopes=2)
        for envelope in range(6):
            node.workers[0].learn(content, 9.0, envelope, node.now)
        for _, other in contents:
            pairs += 1
            if node.workers[0].recall(other, node.now):
                known += 1
                assert len(set(other.text) & set(content.text)) >= 20, number
    assert 0 < known < pairs / 5


def test_a_full_table_forgets_and_nothing_else() -> None:
    node = Node(envelopes=2)
    for number in range(600):
        node.spam(
            text_mail(TEXT.replace("a", f"a{'xyzuvw'[number % 6]}{WORDS[number % 17]}{WORDS[number // 17 % 17]}")), 2
        )
    node.spam(CAMPAIGN, 8)
    assert node.recall(CAMPAIGN)


def test_stamps_that_share_a_cell_push_each_other_out() -> None:
    stamps = Stamps(cells=16)
    one, other = 5 << 40 | 3, 6 << 40 | 3
    stamps.put((one,), 7)
    assert (stamps.minute(one), stamps.minute(other)) == (7, 0)
    stamps.put((other,), 8)
    assert (stamps.minute(one), stamps.minute(other)) == (0, 8)


def test_keys_are_never_nothing() -> None:
    assert all(0 < key_of(value) < 1 << 64 for value in (0, "", b"", (), -1, 1 << 64))
