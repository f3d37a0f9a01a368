"""Whether a layer is to run, and whether what was found makes later ones needless. Pure.

Called by mpp.checks.layers.judge. A reason is a text that follows "not asked, ": it goes into the findings as it is.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from mpp.checks.layers.settings import Layer
from mpp.mail.message import Message
from mpp.verdict.finding import Act, Counts, Finding, Verdict
from mpp.verdict.reasons import number
from mpp.verdict.transaction import Transaction
from mpp.verdict.weigh import Weight, weigh

SURE = (Verdict.VIRUS, Verdict.BANNED)


def why_not(layer: Layer, message: Message, transaction: Transaction, findings: Sequence[Finding]) -> str:
    """Return why a layer has nothing to do with this message, "" where it is to run."""
    size, key = len(message.raw), f"layers.{layer.name}"
    if size < layer.size_from:
        return f"{key} is for messages of {layer.size_from} octets and more"
    if layer.size_below is not None and size >= layer.size_below:
        return f"{key} is for messages below {layer.size_below} octets"
    if layer.direction not in ("any", transaction.direction):
        return f"{key} is for {layer.direction} mail"
    if layer.policies and not any(name in layer.policies for name, _ in transaction.policies.values()):
        return f"{key} is for the policies {', '.join(layer.policies)}"
    if layer.attachment != "any" and any(part.attachment for part in message.every_leaf()) != (
        layer.attachment == "with"
    ):
        return f"{key} is for mail {layer.attachment} attachments"
    return _outside(layer, transaction, findings)


def _outside(layer: Layer, transaction: Transaction, findings: Sequence[Finding]) -> str:
    """Return why no recipient's score so far lies where the layer looks."""
    low, high = layer.score_from, layer.score_below
    if low is None and high is None:
        return ""
    scores = {weight.score for weight in weights(findings, transaction)}
    if any((low is None or score >= low) and (high is None or score < high) for score in scores):
        return ""
    span = " and ".join(
        text
        for text in (
            f"from {number(low)}" if low is not None else "",
            f"below {number(high)}" if high is not None else "",
        )
        if text
    )
    return f"layers.{layer.name} is for scores {span}, and it was {', '.join(map(number, sorted(scores)))}"


def why_stop(layer: Layer | None, transaction: Transaction, findings: Sequence[Finding]) -> tuple[str, bool]:
    """Return why later scanners need not be asked ("" where they are), and whether virus scanners are spared too.

    A virus makes the rest needless. Sure spam and sure ham spare spam scanners alone: whoever sends them must not get a
    virus past its scanner. `layer` is None where the settings write no layers.
    """
    stop_virus = layer is None or layer.stop_virus
    if stop_virus and any(each.verdict in SURE and each.counts is Counts.FULL for each in findings):
        return "a virus or banned content is found already", True
    if layer is None:
        return "", False
    if layer.stop_spam is not None:
        least = min(weight.firm for weight in weights(findings, transaction))
        if least >= layer.stop_spam:
            return f"{number(least)} reaches layers.{layer.name}.stop_spam = {number(layer.stop_spam)}", False
    ham = next((each for each in findings if is_ham(each, layer.stop_ham)), None) if layer.stop_ham else None
    return (f"{ham.symbol} is in layers.{layer.name}.stop_ham", False) if ham else ("", False)


def settled(transaction: Transaction, before: Sequence[Finding]) -> tuple[str, bool]:
    """Return why no scanner need be asked at all, and whether virus scanners are spared too.

    What a rule refuses or throws away for every recipient goes nowhere, banned content too where the policies do not hold it. What
    it accepts is spared the spam scanners.
    """
    full = [each for each in before if each.counts is Counts.FULL and (each.actions or each.verdict is Verdict.BANNED)]
    if not full:
        return "", False
    for acts, virus_too in (((Act.REJECT, Act.DISCARD), True), ((Act.ACCEPT,), False)):
        rules = [(each, action.rule) for each in full for action in each.actions if action.act in acts]
        if virus_too:
            rules += [(each, f"{each.check}.{each.symbol}") for each in full if each.verdict is Verdict.BANNED]
        if rules and all(
            any(_settles(each, recipient.address, transaction) for each, _ in rules)
            for recipient in transaction.envelope.recipients
        ):
            return f"{rules[0][1]} holds", virus_too
    return "", False


def _settles(finding: Finding, address: str, transaction: Transaction) -> bool:
    if finding.recipients and address not in finding.recipients:
        return False
    named = transaction.policies.get(address)
    return finding.verdict is not Verdict.BANNED or named is None or named[1].banned != "quarantine"


def is_ham(finding: Finding, symbols: Iterable[str]) -> bool:
    """True where a finding for everybody, which counts and speaks against no mail, says that it is sure ham."""
    counts = finding.counts is Counts.FULL and not finding.recipients and finding.score <= 0 and finding.verdict is None
    return counts and any(fnmatchcase(finding.symbol, symbol) for symbol in symbols)


def weights(findings: Sequence[Finding], transaction: Transaction) -> list[Weight]:
    """Return what the findings add up to, for each recipient; once where they do not differ."""
    if not any(finding.recipients for finding in findings):
        return [weigh(findings)]
    return [
        weigh([each for each in findings if not each.recipients or recipient.address in each.recipients])
        for recipient in transaction.envelope.recipients
    ]
