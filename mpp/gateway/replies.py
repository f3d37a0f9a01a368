"""What the gateway says to a client in its own words: fixed replies, each with its enhanced code (RFC 3463, 2034).

Kept in one place so that operators find what their users report, and so that no reply names a host, a path or a rule.
"""

from mpp.protocols.smtp.reply import Reply


def greeting(hostname: str, instance: str, *, lmtp: bool) -> str:
    """Return the words of our greeting, by which a next hop that is ourselves is known."""
    product = "MPP" if instance == "mpp" else f"MPP {instance}"
    return f"{hostname} {'LMTP' if lmtp else 'ESMTP'} {product}"


OK_MAIL = Reply(250, "2.1.0", "Ok")
OK_RCPT = Reply(250, "2.1.5", "Ok")
OK = Reply(250, "2.0.0", "Ok")
GO = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
BYE = Reply(221, "2.0.0", "Bye")
READY_TLS = Reply(220, "2.0.0", "Ready to start TLS")
VRFY = Reply(252, "2.0.0", "Cannot VRFY user, but will accept message and attempt delivery")
EXPN = Reply(502, "5.5.1", "EXPN not available here")
HELP = Reply(214, "2.0.0", "See RFC 5321")
RELAY = Reply(550, "5.7.1", "Relaying denied")
NO_DNS = Reply(451, "4.4.3", "The domain of this recipient cannot be looked up now, please try again later")
NO_MAIL = Reply(550, "5.1.2", "The domain of this recipient accepts no mail")
NO_RECIPIENT = Reply(550, "5.1.1", "No such recipient here")
NO_ROUTE = Reply(554, "5.4.4", "No route to this domain")
TOO_MANY = Reply(452, "4.5.3", "Too many recipients")
ALONE = Reply(452, "4.5.3", "This recipient is handled apart, please send it in a message of its own")
TLS_FIRST = Reply(530, "5.7.0", "Must issue a STARTTLS command first")
TRUSTED_ONLY = Reply(550, "5.7.1", "This port serves known clients only")
NOT_PROXY = Reply(550, "5.7.0", "Not allowed from this client")
TOO_LARGE = Reply(552, "5.3.4", "Message is larger than allowed here")
LONG_LINE = Reply(554, "5.6.0", "Message has a line longer than allowed here")
BARE = Reply(550, "5.6.11", "Message has a bare CR or LF, lines must end in CR LF (RFC 5321, 2.3.8)")
NO_MEMORY = Reply(452, "4.3.1", "Too much mail at the moment, please try again later")
NUL = Reply(550, "5.6.0", "Message has a NUL octet")
FLOOD = Reply(421, "4.7.0", "Too many commands without a message")
ERRORS = Reply(421, "4.7.0", "Too many errors")
TROUBLE = Reply(451, "4.3.0", "Local error, please try again later")
BAD_ADDRESS = Reply(501, "5.1.3", "Bad recipient address syntax")
BAD_SENDER = Reply(501, "5.1.7", "Bad sender address syntax")
FULL = Reply(421, "4.3.2", "Too many connections, please try again later")
BY_HOST = Reply(421, "4.7.0", "Too many connections from your host")
OFFENDER = Reply(421, "4.7.0", "Too many errors from your host, please try again later")


def listed(zone: str) -> Reply:
    """A client that a DNS list knows; the list has a page on which it says why."""
    return Reply(554, "5.7.1", f"Your address is listed by {zone}")
