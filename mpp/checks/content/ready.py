"""Ready-made patterns for data that must not leave, each with the arithmetic that tells it from other numbers. Pure.

IBAN (ISO 13616, mod 97), payment cards (ISO/IEC 7812, Luhn, by the issuers' lengths), and national numbers: German
tax id (ISO 7064 mod 11,10), Polish PESEL, Spanish DNI/NIE, Italian codice fiscale, Dutch BSN, French NIR, Swiss AHV, US SSN.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Names = Literal[
    "iban", "card", "de-tax-id", "pl-pesel", "es-dni", "it-codice-fiscale", "nl-bsn", "fr-nir", "ch-ahv", "us-ssn"
]

_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "CH": 21, "CR": 22,
    "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22,
    "GI": 23, "GL": 18, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MT": 31, "NL": 18, "NO": 15,
    "PL": 28, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26,
    "UA": 29, "VA": 22, "XK": 20,
}  # fmt: skip
_CARD_STARTS = re.compile(r"4|5[1-5]|2[2-7]|3[47]|6(?:011|4[4-9]|5|2)|3(?:0[0-5]|[689])|35|50|5[6-9]|6[0379]")
_CF_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
    strict=True))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ready:
    pattern: str  # PCRE, finds candidates, maybe several in one text
    check: Callable[[str], bool]  # of the candidate without blanks, dots and hyphens, in capitals


def _iban(text: str) -> bool:
    if _IBAN_LENGTHS.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(character, 36)) for character in text[4:] + text[:4])) % 97 == 1


def luhn(text: str) -> bool:
    """True where the check digit of ISO/IEC 7812 is right."""
    digits = [int(character) for character in reversed(text)]
    return sum(digits[::2] + [sum(divmod(digit * 2, 10)) for digit in digits[1::2]]) % 10 == 0


def _card(text: str) -> bool:
    return len(set(text)) > 1 and _CARD_STARTS.match(text) is not None and luhn(text)


def _tax_id(text: str) -> bool:
    rest = 10
    for character in text[:10]:
        total = (int(character) + rest) % 10 or 10
        rest = total * 2 % 11
    repeated = [text[:10].count(digit) for digit in set(text[:10])]
    return (11 - rest) % 10 == int(text[10]) and max(repeated) in (2, 3) and text[0] != "0"


def _weighted(weights: tuple[int, ...], text: str) -> int:
    return sum(weight * int(digit) for weight, digit in zip(weights, text, strict=True))


def _pesel(text: str) -> bool:
    return _weighted((1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), text) % 10 == 0 and 1 <= int(text[2:4]) % 20 <= 12


def _dni(text: str) -> bool:
    number = text[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == text[-1]


def _codice(text: str) -> bool:
    odd = sum(_CF_ODD[character] for character in text[:15:2])
    even = sum(int(each) if each.isdigit() else ord(each) - 65 for each in text[1:15:2])
    return chr(65 + (odd + even) % 26) == text[15]


def _bsn(text: str) -> bool:
    return _weighted((9, 8, 7, 6, 5, 4, 3, 2, -1), text) % 11 == 0 and len(set(text)) > 1


def _nir(text: str) -> bool:
    number = text[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(text[13:])


def _ahv(text: str) -> bool:
    return _weighted((1, 3) * 6 + (1,), text) % 10 == 0


def _ssn(text: str) -> bool:
    return text[:3] not in ("000", "666") and text[0] != "9" and text[3:5] != "00" and text[5:] != "0000"


READY: dict[str, Ready] = {
    "iban": Ready(r"\b[A-Z]{2}\d\d(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?\b", _iban),
    "card": Ready(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d-])", _card),
    "de-tax-id": Ready(r"(?<!\d)\d{2}[ ]?\d{3}[ ]?\d{3}[ ]?\d{3}(?!\d)", _tax_id),
    "pl-pesel": Ready(r"(?<!\d)\d{11}(?!\d)", _pesel),
    "es-dni": Ready(r"\b(?:\d{8}|[XYZ][ -]?\d{7})[ -]?[A-HJ-NP-TV-Z]\b", _dni),
    "it-codice-fiscale": Ready(r"\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b", _codice),
    "nl-bsn": Ready(r"(?<!\d)\d{9}(?!\d)", _bsn),
    "fr-nir": Ready(
        r"\b[12][ ]?\d{2}[ ]?(?:0[1-9]|1[0-2]|[2-9]\d)[ ]?(?:\d{2}|2[AB])[ ]?\d{3}[ ]?\d{3}[ ]?\d{2}\b", _nir
    ),
    "ch-ahv": Ready(r"\b756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}\b", _ahv),
    "us-ssn": Ready(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])", _ssn),
}


def is_right(name: str, candidate: str) -> bool:
    """True where a candidate's arithmetic is right."""
    return READY[name].check(re.sub(r"[ .\-]", "", candidate).upper())
