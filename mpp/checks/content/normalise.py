"""Text as a reader takes it, whatever a writer did to be read by people and by no filter.

Compatibility forms (fullwidth, bold and circled letters) become plain ones, what has no width or turns the direction goes,
blanks become blanks, look-alike letters of other scripts become Latin where a word mixes scripts (or everywhere, by
setting), and words cut into letters (V-i-a g r a) are added whole in a last line. Pure; plain ASCII costs next to nothing.
"""

import re
import unicodedata
from functools import lru_cache

import pcre2

from mpp.checks.content.engine import Expression, Search

_GONE = dict.fromkeys(
    [0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0, *range(0x180B, 0x1810), *range(0x200B, 0x2010),
     *range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFE00, 0xFE10), *range(0xE0000, 0xE0080), *range(0xE0100, 0xE01F0)]
)  # fmt: skip
_BLANKS = dict.fromkeys([0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")
_CLEAN = {**_GONE, **_BLANKS}

# Letters that most fonts draw like a Latin one: of Cyrillic, Greek, Armenian, Cherokee and Latin's own small capitals.
_ALIKE = str.maketrans(
    "АВЕЅІЈКМНОРСТУХҮԚԜавеѕіјкмнорстухүһԁԛԝґгѵӏ"
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαβγειικνορτυχωϲϳ"
    "ՕՏՍԼօսոցհյզ"
    "ᎪᏴᏟᎠᎬᏀᎻᎥᎫᏦᏞᎷᏢᏒᏚᎢᏙᎳᏃ"
    "ıɩȷƖℓɑɡʀɪɴʟᴀᴄᴅᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢ",
    "ABESIJKMHOPCTYXYQWabesijkmhopctyxyhdqwrrvl"
    "ABEZHIKMNOPTYXabyeiikvoptuxwcj"
    "OSULounghjq"
    "ABCDEGHiJKLMPRSTVWZ"
    "iijIlagrinlacdejkmoptuvwz",
)
_WORD = re.compile(r"[^\W\d_]{2,}")
_CUT = r"\b\w([ .*/|+~,'\-])\w\1\w(?:\1\w){0,30}\b"  # one kind of mark between the letters of a word
_SPLIT, _SPLIT_ASCII = pcre2.compile(_CUT), pcre2.compile(_CUT.encode())
_MAY_BE_CUT = Expression(rb"\b\w[ .*/|+~,'-]\w[ .*/|+~,'-]\w\b", 0)
_MARKS = str.maketrans("", "", " .-*/|+~,'")
_MOST_SPLIT = 200


@lru_cache
def _gate() -> Search:
    return Search([_MAY_BE_CUT])


def normalised(text: str, *, everywhere: bool = False) -> str:
    """Return the text as rules see it by default. `everywhere`: look-alikes become Latin in words of one script too."""
    text = plain(text, everywhere=everywhere)
    whole = _whole_words(text)
    return f"{text}\n{whole}" if whole else text


def plain(text: str, *, everywhere: bool = False) -> str:
    """Return the text with plain letters, without what has no width."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text.translate(_CLEAN))
    return text.translate(_ALIKE) if everywhere else _WORD.sub(_latin, text)


def _latin(match: re.Match[str]) -> str:
    """A word that has Latin letters and others is nobody's language."""
    word = match[0]
    if word.isascii() or not any(character.isascii() for character in word):
        return word
    return word.translate(_ALIKE)


def _whole_words(text: str) -> str:
    """Return the words that were cut into single letters, joined."""
    found = []
    if text.isascii():
        octets = text.encode()
        matches = _SPLIT_ASCII.finditer(octets) if _gate().candidates(octets) else ()
    else:
        matches = _SPLIT.finditer(text)
    for match in matches:
        word = str(match[0], "ascii") if isinstance(match[0], bytes) else str(match[0])
        word = word.translate(_MARKS)
        if not word.isdigit():
            found.append(word)
        if len(found) == _MOST_SPLIT:
            break
    return " ".join(found)
