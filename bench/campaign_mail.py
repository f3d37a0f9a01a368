"""A stream of mail for campaign memory: campaigns of spam, as many newsletters, and mail that comes once.

Seeded. A campaign has 20 to 200 variants that differ as real ones do: names, amounts and numbers, other words for the same,
sentences left out and put elsewhere, words of no sense against filters, subjects, tracking URLs, HTML of one's own; each from
another sender to another recipient. A newsletter goes to as many readers in issues of one template: greeting, tracking, a
paragraph for some readers. Some newsletters and campaigns share boilerplate. Single mails are letters, and spam of one kind.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal

Kind = Literal["campaign", "newsletter", "letter", "spam"]

_SYLLABLES = [
    "ka",
    "lo",
    "mi",
    "ren",
    "ta",
    "shu",
    "pel",
    "dor",
    "an",
    "vi",
    "stro",
    "gal",
    "ne",
    "fu",
    "ber",
    "tin",
    "os",
    "qua",
    "lim",
    "ero",
    "da",
    "ven",
]
_LURES = (
    "I am Barrister {name} and I have a confidential business proposal for you regarding the sum of US$ {amount} Million United States Dollars deposited in a bank",
    "My late client died in a plane crash without a next of kin and the fund has been abandoned in the security company",
    "Your assistance is needed to transfer the fund out of the country into your foreign bank account for our mutual benefit",
    "You will be entitled to forty percent of the total sum as soon as the transfer is completed, this is risk free",
    "Kindly reply with your full name, address, telephone number and occupation to my private email for more details",
    "This transaction is strictly confidential and must be kept as top secret until the money has been claimed",
    "I await your urgent response so that the bank can release the inheritance fund to the beneficiary, God bless you",
    "Dear friend, I was the personal attorney to a contractor who worked with the Central Bank of Nigeria",
    "Click here to buy cheap Viagra and Cialis online without prescription, 100% satisfaction guaranteed or your money back",
    "Dear winner, your email address won the international lottery of {amount} Million US Dollars, claim your prize now",
)
_ALIKE = (("urgent", "immediate"), ("fund", "money"), ("bank", "finance house"), ("confidential", "private"), ("transfer", "move"), ("sum", "amount"))  # fmt: skip
_FOOT = "You receive this mail since you subscribed on our site. To end your subscription follow the link below. All rights reserved by the publisher."


@dataclass(frozen=True, slots=True)
class Mail:
    kind: Kind
    of: str  # the campaign or newsletter, "" for a single mail
    sender: str
    recipient: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Mix:
    """How much of what: shares of the stream; the rest are letters and single spam."""

    messages: int
    campaigns: float = 0.4
    newsletters: float = 0.4


def stream(seed: int, mix: Mix) -> list[Mail]:
    """Return the mails in the order in which they come: everything mixed, each campaign spread over the stream."""
    draw = random.Random(seed)
    mails: list[Mail] = []
    for share, make in ((mix.campaigns, _campaign), (mix.newsletters, _newsletter)):
        wanted = len(mails) + round(mix.messages * share)
        while len(mails) < wanted:
            mails += list(make(draw, min(draw.randint(20, 200), wanted - len(mails))))
    while len(mails) < mix.messages:
        mails.append(_single(draw))
    draw.shuffle(mails)
    return mails


def _campaign(draw: random.Random, variants: int) -> Iterator[Mail]:
    lures = draw.sample(_LURES, 6)
    prose = [_sentence(draw) for _ in range(draw.randint(4, 12))]
    hosts = [f"{_word(draw)}-{_word(draw)}.example" for _ in range(draw.randint(1, 3))]
    subject, shares_foot = f"URGENT {_word(draw)} {_word(draw)}", draw.random() < 0.3
    html = draw.random() < 0.5
    for _ in range(variants):
        text = [*lures, *prose]
        for _ in range(draw.randint(0, 2)):
            text.insert(draw.randrange(len(text)), text.pop(draw.randrange(len(text))))
        if draw.random() < 0.5:
            text.pop(draw.randrange(6, len(text)))
        body = ". ".join(text).format(name=_name(draw), amount=draw.randint(2, 90))
        for one, other in draw.sample(_ALIKE, 3):
            if draw.random() < 0.5:
                body = body.replace(one, other)
        body += f". https://{draw.choice(hosts)}/{draw.getrandbits(40):x} "
        body += " ".join(_word(draw) for _ in range(draw.randint(0, 25)))
        yield _mail(
            draw,
            "campaign",
            subject,
            f"{subject} {draw.randint(1, 999)}!!!",
            body + (_FOOT if shares_foot else ""),
            html=html,
        )


def _newsletter(draw: random.Random, readers: int) -> Iterator[Mail]:
    name, host = f"{_word(draw)} {_word(draw)}", f"news.{_word(draw)}.example"
    issue = [_sentence(draw) for _ in range(draw.randint(10, 30))]
    more = [_sentence(draw) for _ in range(3)]
    sender = f"letter@{host}"
    for _ in range(readers):
        chosen = [*issue, *draw.sample(more, draw.randint(0, 3))]
        body = f"Dear {_name(draw)}. " + ". ".join(chosen) + f". https://{host}/read?{draw.getrandbits(40):x} {_FOOT}"
        yield _mail(draw, "newsletter", name, f"{name}: issue {len(issue)}", body, sender=sender, html=True)


def _single(draw: random.Random) -> Mail:
    if draw.random() < 0.7:
        text = ". ".join(_sentence(draw) for _ in range(draw.randint(2, 20)))
        return _mail(draw, "letter", "", f"Re: {_word(draw)} {_word(draw)}", text)
    lures = ". ".join(draw.sample(_LURES, 7)).format(name=_name(draw), amount=draw.randint(2, 90))
    text = ". ".join(_sentence(draw) for _ in range(draw.randint(2, 8)))
    return _mail(draw, "spam", "", f"URGENT {_word(draw)}", f"{lures}. {text}")


def _mail(
    draw: random.Random, kind: Kind, of: str, subject: str, body: str, *, sender: str = "", html: bool = False
) -> Mail:
    sender = sender or f"{_word(draw)}@{_word(draw)}.example"
    recipient = f"{_word(draw)}{draw.randint(1, 99)}@example.org"
    text = _lines(body)
    boundary = f"b{draw.getrandbits(48):x}"
    head = [
        f"From: {_name(draw)} <{sender}>",
        f"To: <{recipient}>",
        f"Subject: {subject}",
        f"Date: {formatdate(localtime=False)}",
        f"Message-ID: <{draw.getrandbits(64):x}@{sender.rpartition('@')[2]}>",
        "MIME-Version: 1.0",
    ]
    if html:
        page = "".join(f'<p class="c{draw.getrandbits(16):x}">{line}</p>\n' for line in text.split("\n"))
        head.append(f'Content-Type: multipart/alternative; boundary="{boundary}"')
        text = (
            f"--{boundary}\nContent-Type: text/plain; charset=utf-8\n\n{text}\n"
            f"--{boundary}\nContent-Type: text/html; charset=utf-8\n\n<html><body>\n{page}</body></html>\n--{boundary}--\n"
        )
    else:
        head.append("Content-Type: text/plain; charset=utf-8")
    raw = "\n".join([*head, "", text]).replace("\n", "\r\n").encode()
    return Mail(kind, of, sender, recipient, raw if raw.endswith(b"\n") else raw + b"\r\n")


def _lines(text: str) -> str:
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) > 75:
            lines.append(line)
            line = ""
        line = f"{line} {word}".lstrip()
    return "\n".join([*lines, line])


def _word(draw: random.Random) -> str:
    return "".join(draw.choices(_SYLLABLES, k=draw.randint(2, 3)))


def _name(draw: random.Random) -> str:
    return f"{_word(draw).title()} {_word(draw).title()}"


def _sentence(draw: random.Random) -> str:
    return " ".join(_word(draw) for _ in range(draw.randint(6, 18))).capitalize()
