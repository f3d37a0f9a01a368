"""Trains the zstd dictionary of mpp.store on mail made up here: packaging/train_dictionary.py FILE

Everything below is invented or a matter of the standards (RFC 5322, 2045, 3464); no real mail goes in. Once a version is released it
must never change: what was compressed with it needs it. The random numbers are seeded, so the same zstd gives the
same file for the same form of records (mpp.store.content).
"""

import base64
import random
import sys
import time
from pathlib import Path

import zstandard

from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.message import Message
from mpp.store.content import write_content
from mpp.store.letter import Copy, Letter

SIZE, SAMPLES = 48 << 10, 6000
# fmt: off
WORDS = [
    "the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "on", "with", "as", "are", "be", "this", "by", "you",
    "we", "our", "have", "from", "or", "an", "at", "not", "your", "can", "will", "more", "all", "if", "has", "please",
    "thank", "regards", "dear", "hello", "hi", "team", "meeting", "order", "invoice", "payment", "account", "report",
    "attached", "document", "project", "update", "schedule", "monday", "tuesday", "friday", "week", "month", "year",
    "today", "tomorrow", "service", "customer", "information", "contact", "email", "address", "number", "phone", "offer",
    "price", "free", "new", "shipping", "delivery", "tracking", "product", "website", "click", "here", "unsubscribe",
    "newsletter", "view", "browser", "privacy", "policy", "terms", "rights", "reserved", "company", "office", "manager",
    "support", "question", "answer", "help", "need", "time", "work", "best", "great", "know", "like", "just", "let", "see",
    "send", "get", "make", "below", "above", "attached", "message", "could", "not", "delivered", "because", "mailbox",
    "recipient", "server", "rejected", "temporary", "permanent", "failure", "returned", "original", "following", "address",
    "und", "der", "die", "das", "nicht", "mit", "ein", "eine", "wir", "sie", "ihre", "bitte", "vielen", "dank", "mit",
    "freundlichen", "grüßen", "rechnung", "bestellung", "anfrage", "termin", "les", "des", "pour", "vous", "nous", "votre",
    "avec", "merci", "bonjour", "cordialement", "commande", "facture", "gracias", "saludos", "factura", "pedido", "para",
    "con", "una", "por", "los", "las",
]
NAMES = [
    "anna", "ben", "clara", "david", "emma", "frank", "grace", "henry", "ida", "jack", "karin", "leo", "maria", "nils",
    "olga", "paul", "rosa", "sam", "tina", "victor", "info", "sales", "support", "noreply", "office", "billing",
    "newsletter", "admin", "postmaster", "mailer-daemon",
]
HOSTS = [
    "example.com", "example.org", "example.net", "mail.example.com", "mx1.example.org", "smtp.example.net",
    "out.mailer.example", "relay.provider.example", "lists.example.org", "shop.example", "news.example",
]
# fmt: on
AGENTS = [
    "Mozilla Thunderbird",
    "Apple Mail (2.3774.300.61.1.2)",
    "Microsoft Outlook 16.0",
    "Roundcube Webmail/1.6.1",
    "PHPMailer 6.8.0",
    "git-send-email 2.39.2",
]
STYLE = "font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:1.5;color:#333333;padding:10px 20px;margin:0 auto;text-decoration:none;background-color:#ffffff;"


class Mails:
    def __init__(self, seed: int) -> None:
        self.pick = random.Random(seed)  # noqa: S311 no secret

    def hexadecimal(self, octets: int) -> str:
        return self.pick.randbytes(octets).hex()

    def address(self) -> str:
        number = self.pick.choice(["", "", str(self.pick.randrange(100))])
        return f"{self.pick.choice(NAMES)}{number}@{self.pick.choice(HOSTS)}"

    def sentence(self) -> str:
        words = [self.pick.choice(WORDS) for _ in range(self.pick.randrange(4, 16))]
        return (" ".join(words).capitalize()) + self.pick.choice([".", ".", ".", "!", "?"])

    def text(self, sentences: int) -> str:
        lines, line = [], ""
        for _ in range(sentences):
            line += self.sentence() + " "
            if len(line) > 60 or self.pick.random() < 0.2:
                lines.append(line.strip())
                line = ""
        return "\r\n".join([*lines, line.strip(), ""])

    def when(self) -> str:
        return time.strftime(
            "%a, %d %b %Y %H:%M:%S ", time.gmtime(self.pick.randrange(1_700_000_000, 1_900_000_000))
        ) + self.pick.choice(["+0000", "+0100", "+0200", "-0500", "-0700", "+0000 (UTC)"])

    def received(self) -> str:
        host, by, ip = (
            self.pick.choice(HOSTS),
            self.pick.choice(HOSTS),
            ".".join(str(self.pick.randrange(256)) for _ in range(4)),
        )
        how = self.pick.choice(["ESMTP", "ESMTPS", "ESMTPSA", "SMTP", "LMTP"])
        tls = self.pick.choice(
            [
                "",
                "\r\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n\t key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256)",
            ]
        )
        return f"Received: from {host} ({host} [{ip}]){tls}\r\n\tby {by} (Postfix) with {how} id {self.hexadecimal(5).upper()}\r\n\tfor <{self.address()}>; {self.when()}\r\n"

    def signature(self) -> str:
        domain = self.pick.choice(HOSTS)
        return (
            f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s={self.pick.choice(['default', 'mail', 'selector1', 's2048'])};\r\n\tt={self.pick.randrange(1_700_000_000, 1_900_000_000)}; "
            f"h=from:from:reply-to:subject:subject:date:date:message-id:message-id:\r\n\t to:to:cc:mime-version:mime-version:content-type:content-type:\r\n\t content-transfer-encoding:list-unsubscribe;\r\n\t"
            f"bh={base64.b64encode(self.pick.randbytes(32)).decode()};\r\n\tb={base64.b64encode(self.pick.randbytes(48)).decode()}\r\n"
        )

    def header(self, sender: str, recipient: str, subject: str, kind: str) -> str:
        top = f"Return-Path: <{sender}>\r\n" if self.pick.random() < 0.3 else ""
        top += "".join(self.received() for _ in range(self.pick.randrange(1, 5)))
        top += self.signature() if self.pick.random() < 0.5 else ""
        top += self.pick.choice(
            [
                "",
                f"Authentication-Results: {self.pick.choice(HOSTS)}; spf=pass smtp.mailfrom={sender};\r\n\tdkim=pass header.d={sender.partition('@')[2]}; dmarc=pass (p=none) header.from={sender.partition('@')[2]}\r\n",
            ]
        )
        name = self.pick.choice(NAMES).capitalize()
        fields = [
            f"From: {name} <{sender}>",
            f"To: <{recipient}>",
            f"Subject: {subject}",
            f"Date: {self.when()}",
            f"Message-ID: <{self.hexadecimal(10)}@{self.pick.choice(HOSTS)}>",
            "MIME-Version: 1.0",
            kind,
        ]
        if self.pick.random() < 0.3:
            self.pick.shuffle(fields)
        more = [f"User-Agent: {self.pick.choice(AGENTS)}", f"X-Mailer: {self.pick.choice(AGENTS)}", "Auto-Submitted: auto-replied", "Precedence: bulk", "Content-Language: en-US", "X-Priority: 3", "Importance: Normal",
                f"List-Unsubscribe: <https://{self.pick.choice(HOSTS)}/unsubscribe?id={self.hexadecimal(8)}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click", f"List-Id: <news.{self.pick.choice(HOSTS)}>", f"Reply-To: {self.address()}", f"In-Reply-To: <{self.hexadecimal(10)}@{self.pick.choice(HOSTS)}>",
                "X-Originating-IP: [192.0.2.1]", "X-Spam-Status: No, score=-1.9 required=5.0 tests=BAYES_00,DKIM_SIGNED,\r\n\tDKIM_VALID,HTML_MESSAGE,SPF_PASS autolearn=ham", "X-Spam-Flag: YES", "X-Spam-Level: *****"]  # fmt: skip
        return top + "\r\n".join([*fields, *self.pick.sample(more, self.pick.randrange(0, 4))]) + "\r\n\r\n"

    def html(self) -> str:
        rows = "".join(
            f'<tr>\r\n<td align="center" valign="top" style="{STYLE}">\r\n<a href="https://{self.pick.choice(HOSTS)}/{self.hexadecimal(6)}?utm_source=newsletter&amp;utm_medium=email" target="_blank">'
            f'<img src="https://{self.pick.choice(HOSTS)}/images/{self.hexadecimal(4)}.png" width="600" height="200" alt="" border="0" style="display:block"></a>\r\n<p style="{STYLE}">{self.sentence()}<br>\r\n{self.sentence()}</p></td></tr>\r\n'
            for _ in range(self.pick.randrange(1, 5))
        )
        return (
            '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\r\n<html xmlns="http://www.w3.org/1999/xhtml">\r\n<head>\r\n'
            '<meta http-equiv="Content-Type" content="text/html; charset=utf-8">\r\n<meta name="viewport" content="width=device-width, initial-scale=1.0">\r\n<title></title>\r\n<style type="text/css">\r\nbody { margin: 0; padding: 0; }\r\n@media only screen and (max-width: 600px) { .content { width: 100% !important; } }\r\n</style>\r\n</head>\r\n'
            f'<body bgcolor="#FFFFFF">\r\n<table width="100%" border="0" cellspacing="0" cellpadding="0">\r\n{rows}</table>\r\n<div><br></div><p>&nbsp;</p></body>\r\n</html>\r\n'
        )

    def quoted(self, text: str) -> str:
        return text.replace("=", "=3D").replace("ü", "=C3=BC").replace("ß", "=C3=9F")

    def leaf(self, kind: str, text: str) -> str:
        encoding = self.pick.choice(["7bit", "8bit", "quoted-printable", "base64"])
        body = {
            "quoted-printable": self.quoted(text),
            "base64": base64.encodebytes(text.encode()).decode().replace("\n", "\r\n"),
        }.get(encoding, text)
        return f"Content-Type: text/{kind}; charset={self.pick.choice(['utf-8', 'UTF-8', chr(34) + 'UTF-8' + chr(34), 'us-ascii', 'iso-8859-1'])}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}\r\n"

    def mail(self) -> tuple[str, str, str]:
        """Return reverse-path, recipient and mail."""
        sender, recipient = self.address(), self.address()
        subject = self.pick.choice(["", "Re: ", "Fwd: ", "AW: "]) + self.sentence()[:60]
        mark = f"----=_Part_{self.hexadecimal(8)}"
        match self.pick.randrange(6):
            case 0:
                kind = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit"
                mail = self.header(sender, recipient, subject, kind) + self.text(12)
            case 1:
                kind = 'Content-Type: text/html; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable'
                mail = self.header(sender, recipient, subject, kind) + self.quoted(self.html())
            case 2 | 3:
                kind = f'Content-Type: multipart/alternative;\r\n boundary="{mark}"'
                parts = f"--{mark}\r\n{self.leaf('plain', self.text(5))}\r\n--{mark}\r\n{self.leaf('html', self.html())}\r\n--{mark}--\r\n"
                mail = (
                    self.header(sender, recipient, subject, kind)
                    + "This is a multi-part message in MIME format.\r\n"
                    + parts
                )
            case 4:
                quoted = "".join(f"> {line}\r\n" for line in self.text(8).split("\r\n"))
                kind = "Content-Type: text/plain; charset=UTF-8; format=flowed"
                mail = self.header(sender, recipient, subject, kind)
                mail += f"{self.text(3)}\r\nOn {self.when()}, {self.pick.choice(NAMES)} wrote:\r\n{quoted}-- \r\n{self.sentence()}\r\n"
            case _:
                sender, mail = "", self.bounce(recipient, mark)
        return sender, recipient, mail

    def bounce(self, recipient: str, mark: str) -> str:
        """A delivery report (RFC 3464)."""
        host, gone, code = (
            self.pick.choice(HOSTS),
            self.address(),
            self.pick.choice(["5.1.1", "5.2.2", "4.4.1", "5.7.1", "4.4.7", "5.0.0"]),
        )
        said = f"{code[0]}50 {code} <{gone}>: {self.pick.choice(['Recipient address rejected: User unknown', 'mailbox full, over quota', 'user unknown', 'No such user here', 'Message rejected', 'Connection timed out', 'Relay access denied', 'Host not found'])}"
        kind = f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{mark}"\r\nAuto-Submitted: auto-replied'
        subject = self.pick.choice(
            [
                "Undelivered Mail Returned to Sender",
                "Delivery Status Notification (Failure)",
                "Mail delivery failed: returning message to sender",
                "Undeliverable: " + self.sentence()[:40],
                "failure notice",
            ]
        )
        original = self.header(
            recipient, gone, self.sentence()[:50], "Content-Type: text/plain; charset=utf-8"
        ) + self.text(3)
        return self.header(f"MAILER-DAEMON@{host}", recipient, subject, kind) + (
            f"This is a MIME-encapsulated message.\r\n\r\n--{mark}\r\nContent-Description: Notification\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nYour message could not be delivered to the following recipient:\r\n\r\n<{gone}>: host {host}[192.0.2.1] said: {said}\r\n    (in reply to RCPT TO command)\r\n\r\n"
            f"--{mark}\r\nContent-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; {host}\r\nArrival-Date: {self.when()}\r\n\r\nFinal-Recipient: rfc822; {gone}\r\nOriginal-Recipient: rfc822;{gone}\r\nAction: failed\r\nStatus: {code}\r\nRemote-MTA: dns; {host}\r\nDiagnostic-Code: smtp; {said}\r\nLast-Attempt-Date: {self.when()}\r\n\r\n"
            f"--{mark}\r\nContent-Description: Undelivered Message\r\nContent-Type: {self.pick.choice(['message/rfc822', 'text/rfc822-headers'])}\r\n\r\n{original}\r\n--{mark}--\r\n"
        )

    def content(self) -> bytes:
        sender, recipient, mail = self.mail()
        client = Client(
            f"192.0.2.{self.pick.randrange(256)}",
            34567,
            self.pick.choice(["", "mail.example.com"]),
            "mail.example.com",
            "ESMTPS",
            "TLSv1.3 TLS_AES_256_GCM_SHA384",
        )
        verdict = self.pick.choice(["spam", "virus", "banned", "unchecked", "undeliverable"])
        copy = Copy(
            recipient,
            verdict,
            f"policies.default.{self.pick.choice(['reject_above', 'quarantine_above', verdict])}",
            round(self.pick.uniform(5, 30), 1),
        )
        at = self.pick.randrange(1_700_000_000_000, 1_900_000_000_000)
        envelope = Envelope(sender, (Recipient(recipient),), {"SIZE": str(len(mail)), "BODY": "8BITMIME"})
        letter = Letter(
            self.hexadecimal(10), at, envelope, client, Message(mail.encode()), (copy,), at + 30 * 86_400_000
        )
        return write_content(letter, ())[0]


def main(path: Path) -> None:
    mails = Mails(1)
    samples = [mails.content() for _ in range(SAMPLES)]
    path.write_bytes(zstandard.train_dictionary(SIZE, samples, level=3).as_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
