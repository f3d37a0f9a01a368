"""When a rule holds: "Mon-Fri 08:00-18:00", "Sat,Sun", "22:00-06:00" (over midnight, by the day it begins). Pure."""

import re
from dataclasses import dataclass
from datetime import datetime

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"([0-2]\d):([0-5]\d)-([0-2]\d):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Times:
    days: frozenset[int]  # Monday is 0
    begin: int  # minutes of the day
    end: int

    def hold(self, now: datetime) -> bool:
        minute, day = now.hour * 60 + now.minute, now.weekday()
        if self.begin <= self.end:
            return day in self.days and self.begin <= minute < self.end
        return (minute >= self.begin and day in self.days) or (minute < self.end and (day - 1) % 7 in self.days)


def read_times(text: str) -> Times:
    """Read one text. Raises ValueError with what to write instead."""
    days: set[int] = set()
    begin, end = 0, 24 * 60
    if len(_SPAN.findall(text)) > 1:
        raise ValueError(f'holds "{text}", which has two spans, and one would count; write two texts')
    for word in text.lower().split():
        if match := _SPAN.fullmatch(word):
            begin, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
            if max(begin, end) > 24 * 60:
                raise ValueError(f'holds "{text}", later than 24:00; write "Mon-Fri 08:00-18:00"')
            if begin == end:
                raise ValueError(
                    f'holds "{text}", which ends when it begins, so it is never; write "00:00-24:00" for all day'
                )
            continue
        for piece in word.split(","):
            first, dash, last = piece.partition("-")
            if first not in _DAYS or (dash and last not in _DAYS):
                raise ValueError(
                    f'holds "{text}", which is no time; write "Mon-Fri 08:00-18:00", "Sat,Sun" or "22:00-06:00"'
                )
            low, high = _DAYS.index(first), _DAYS.index(last or first)
            days.update((low + step) % 7 for step in range((high - low) % 7 + 1))
    return Times(frozenset(days or range(7)), begin, end)
