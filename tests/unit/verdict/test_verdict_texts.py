import pytest
from pydantic import ValidationError

from mpp.verdict.policy import Marks, Policy
from mpp.verdict.texts import fill


def test_id_stays_and_the_others_are_filled():
    assert fill("{reason}: ask {contact}, id {id}", reason="Eicar", contact="a@b") == "Eicar: ask a@b, id {id}"


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("a\r\n250 ok", r"a\x0d\x0a250 ok"),
        ("{id}{contact}", "(id)(contact)"),
        ("é", r"\u00e9"),
        ("x" * 500, "x" * 117 + "..."),
    ],
)
def test_outside_text_cannot_break_a_reply(reason, shown):
    assert fill("{reason}", reason=reason) == shown


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        (Policy, "spam_text", "see {url}", "unknown placeholder {url}; write {id} or {reason} or {contact}"),
        (Policy, "virus_text", "brace {", "single brace"),
        (Policy, "banned_text", "two\nlines", "control character"),
        (Policy, "unchecked_text", "pas vérifié", "plain ASCII"),
        (Policy, "defer_text", "x" * 300, "longer than 200"),
        (Policy, "subject_mark", "a\r\nBcc: x", "control character"),
        (Policy, "subject_mark", "\u202emaps", "is no mark"),
        (Policy, "unchecked_mark", "x" * 101, "is no mark"),
        (Marks, "virus_scanned", "MPP {id}", "unknown placeholder {id}; write {hostname}"),
        (Marks, "remove", ["X-Spam-*", "Foo: bar"], "no field name"),
    ],
)
def test_what_cannot_be_sent_is_a_settings_error(section, key, value, said):
    with pytest.raises(ValidationError) as caught:
        section(**{key: value})
    assert said in str(caught.value)


def test_the_texts_that_come_with_the_model_can_be_sent():
    Policy.model_validate(Policy().model_dump())
    Marks.model_validate(Marks().model_dump())
