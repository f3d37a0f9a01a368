"""What holds of every mail, and of octets that are none."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mpp.mail import pieces
from mpp.mail.address import Address, AddressError, parse_address
from mpp.mail.edits import Edit, EditError, apply_edits, insert_field
from mpp.mail.escape import ascii_only, printable
from mpp.mail.line_ends import bare, normalise
from mpp.mail.message import Message
from mpp.mail.readings import DIALECTS, read_all
from mpp.mail.replacing import editable, encoded_part, rename_part, replace_part
from mpp.mail.words import encode_header_text, header_text

LINES = st.sampled_from(
    [
        b"", b" ", b"--", b"--a", b"--a--", b"--b", b"--b--", b"--a ", b"text", b"=", b"=3D= ", b"QUJD", b": x", b"junk",
        b"Content-Type: multipart/mixed; boundary=a", b'Content-Type: multipart/digest; boundary="b"',
        b"Content-Type: message/rfc822", b"Content-Type: text/plain; charset=utf-16; name*0*=x''%e4; name*1=b",
        b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: quoted-printable", b"Received: by x", b"\tfold",
        b"Content-Disposition: attachment; filename==?utf-8?q?=C3?=", b"\xff\x00",
    ]
)  # fmt: skip
MAILS = st.lists(st.tuples(LINES, st.sampled_from([b"\r\n", b"\n", b"\r", b""])), max_size=40).map(
    lambda rows: b"".join(line + end for line, end in rows)
)
NESTS = MAILS.map(lambda mail: b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n" + mail)
OCTETS = st.one_of(MAILS, NESTS, st.binary(max_size=300))


@settings(max_examples=300, deadline=None)
@given(OCTETS)
def test_any_octets_are_a_message(raw):
    message = Message(raw)
    assert message.defects is not None
    assert 0 <= message.header_length <= len(raw)
    leaves = message.leaves()
    assert leaves
    assert len({part.path for part in leaves}) == len(leaves)
    end = 0
    for part in leaves:
        assert isinstance(part.text(), str)
        if part.offset is not None:
            assert end <= part.offset <= part.offset + part.length <= len(raw)
            end = part.offset + part.length
    for field in message.fields:
        whole = raw[field.offset : field.offset + field.length]
        assert whole.startswith(field.name)
        assert field.value in whole


@settings(max_examples=100, deadline=None)
@given(OCTETS)
def test_children_lie_within_their_parents(raw):
    for part in Message(raw).root.walk():
        for child in part.children:
            if not child.nested:
                assert part.body <= child.header <= child.body <= child.end <= part.end


@given(OCTETS)
def test_field_on_top_changes_nothing_below(raw):
    message = Message(raw)
    assert b"".join(apply_edits(raw, [])) == raw
    edited = b"".join(apply_edits(raw, [insert_field(message, b"X", b"y")]))
    assert edited.endswith(raw)


@given(
    st.binary(max_size=30),
    st.lists(st.tuples(st.integers(-2, 35), st.integers(-1, 9), st.binary(max_size=3)), max_size=5),
)
def test_edits_are_applied_whole_or_refused(raw, rows):
    edits = [Edit(*row) for row in rows]
    try:
        result = b"".join(apply_edits(raw, edits))
    except EditError:
        return
    expected = raw
    for index in sorted(range(len(edits)), key=lambda i: (edits[i].offset, edits[i].length, i), reverse=True):
        edit = edits[index]
        expected = expected[: edit.offset] + edit.replacement + expected[edit.offset + edit.length :]
    assert result == expected


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"."])).map(b"".join))
def test_line_ends(data):
    assert bare(data) is (b"\r" in data.replace(b"\r\n", b"") or b"\n" in data.replace(b"\r\n", b""))
    assert not bare(normalise(data))
    assert normalise(data).replace(b"\r\n", b"\n") == data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


@given(st.one_of(st.text(), st.binary()), st.integers(0, 20))
def test_escaped_text_shows_all_of_itself(value, limit):
    for shown in (printable(value, limit), ascii_only(value, limit)):
        assert shown.isprintable()
        assert not limit or len(shown) <= limit
    assert ascii_only(value).isascii()


@given(st.text(), st.text())
def test_escaping_keeps_texts_apart(one, other):
    if not any("\udc80" <= c <= "\udcff" for c in one + other):
        assert (printable(one) == printable(other)) is (one == other)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), st.integers(0, 60))
def test_header_text_is_read_back(text, column):
    encoded = encode_header_text(text, column)
    assert b"\n" not in encoded.replace(b"\r\n ", b"")
    assert header_text(encoded).strip(" ") == text.strip(" ")


@given(st.one_of(st.text(), st.from_regex(r'[@a".\\%!\[\]:,é-]{1,30}@[a.é\[\]1-]{1,10}', fullmatch=True)))
def test_addresses_are_read_or_refused(text):
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert parse_address(address.text) == address
    assert isinstance(address, Address)
    assert address.ascii_domain.isascii()
    assert text.isprintable()


@given(OCTETS, st.binary(min_size=1, max_size=3), st.integers(0, 9), st.integers(0, 60))
def test_a_search_in_strides_finds_what_one_search_finds(raw, needle, start, end):
    before, pieces._STRIDE = pieces._STRIDE, 3
    try:
        assert pieces.find(raw, needle, start, min(end, len(raw))) == raw.find(needle, start, min(end, len(raw)))
    finally:
        pieces._STRIDE = before


NOTE = "Taken out: \u00e4\n--a\n--b--\n".encode()


@settings(max_examples=300, deadline=None)
@given(OCTETS)
def test_a_part_is_replaced_alone(raw):
    message = Message(normalise(raw))
    leaves = message.leaves()
    for part in leaves:
        found = editable(message, part.path)
        if found is None:
            assert message.headless
            continue
        outer, whole = found
        header, body = encoded_part("text/plain", NOTE, name="note.txt")
        edits = replace_part(message, outer, header, body, whole=whole)
        made = Message(b"".join(apply_edits(message.raw, edits)))
        assert not bare(made.raw)
        assert made.raw.startswith(message.raw[: outer.header])
        assert made.raw.endswith(message.raw[outer.end :])
        kept = [each.decode() for each in leaves if editable(message, each.path) != found]
        again = [each.decode() for each in made.leaves()]
        assert NOTE in again
        again.remove(NOTE)
        assert again == kept


@settings(max_examples=200, deadline=None)
@given(OCTETS, st.text(min_size=1))
@example(b"Content-Type: multipart/m; boundary=a\r\n\r\n--a", "0")
def test_a_part_is_renamed_alone(raw, name):
    message = Message(normalise(raw))
    leaves = message.leaves()
    for part in leaves:
        found = editable(message, part.path)
        if found is None:
            continue
        edits = rename_part(message, found[0], name)
        made = Message(b"".join(apply_edits(message.raw, edits)))
        assert [each.decode() for each in made.leaves()] == [each.decode() for each in leaves]


@settings(max_examples=300, deadline=None)
@given(OCTETS)
def test_any_octets_have_few_readings_that_lie_within(raw):
    message = Message(raw)
    assert len(message.readings) <= len(DIALECTS)
    for reading in message.readings:
        for leaf in reading.leaves:
            assert 0 <= leaf.header <= leaf.header_end <= leaf.body <= leaf.end <= len(raw)
            assert len(leaf.decode()) <= 256 * len(raw)
            leaf.text()
    kept = [(leaf.type, leaf.name or None, leaf.decode()) for leaf in message.every_leaf()[len(message.leaves()) :]]
    assert len(kept) == len(set(kept))


@settings(max_examples=500, deadline=None)
@given(OCTETS)
@example(b"Content-type:multipart/m;boundary=a\n\n--a\n\n\r\n--a--")
@example(b"Content-type:multipart/m;boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--")
def test_what_has_no_oddities_is_read_alike_by_every_program(raw):
    message = Message(raw)
    if message.headless or message.oddities:
        return
    others, _ = read_all(raw, message.leaves(), message.limits, set())
    assert [reading.dialect for reading in others[1:] if not reading.dialect.startswith("lenient")] == []
