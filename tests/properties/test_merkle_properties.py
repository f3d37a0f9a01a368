"""The Merkle tree against RFC 6962's own recursive words, and proofs that hold for the truth and for nothing else."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from mpp.store.merkle import EMPTY, Growing, consistency, consistent, includes, inclusion, leaf_hash, root

datas = st.lists(st.binary(max_size=8), min_size=1, max_size=40)


def naive(data: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, as it stands there."""
    if not data:
        return hashlib.sha256().digest()
    if len(data) == 1:
        return hashlib.sha256(b"\0" + data[0]).digest()
    k = 1
    while k * 2 < len(data):
        k *= 2
    return hashlib.sha256(b"\1" + naive(data[:k]) + naive(data[k:])).digest()


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_the_root_is_that_of_the_rfc(data):
    leaves = [leaf_hash(each) for each in data]
    growing = Growing()
    for size, leaf in enumerate(leaves):
        assert growing.root() == naive(data[:size])
        growing.append(leaf)
    assert growing.root() == root(leaves) == naive(data)
    assert growing.size == len(data)
    assert Growing().root() == EMPTY


@given(datas, st.data())
def test_inclusion_is_proved_for_the_leaf_at_its_place_alone(data, draw):
    leaves = [leaf_hash(each) for each in data]
    index = draw.draw(st.integers(0, len(leaves) - 1))
    proof, top = inclusion(leaves, index), root(leaves)
    assert includes(leaves[index], index, len(leaves), proof, top)
    other = draw.draw(st.integers(-1, len(leaves) + 1).filter(lambda each: each != index))
    assert not includes(leaf_hash(b"another leaf"), index, len(leaves), proof, top)
    assert leaves.count(leaves[index]) > 1 or not includes(leaves[index], other, len(leaves), proof, top)
    assert not includes(leaves[index], index, len(leaves), [*proof, EMPTY], top)
    assert not proof or not includes(leaves[index], index, len(leaves), proof[:-1], top)
    for at in range(len(proof)):
        assert not includes(leaves[index], index, len(leaves), [*proof[:at], EMPTY, *proof[at + 1 :]], top)


@given(datas, st.data())
def test_consistency_is_proved_for_what_grew_alone(data, draw):
    leaves = [leaf_hash(each) for each in data]
    old = draw.draw(st.integers(1, len(leaves)))
    proof, before, after = consistency(leaves, old), root(leaves[:old]), root(leaves)
    assert consistent(old, len(leaves), before, after, proof)
    assert not consistent(old, len(leaves), EMPTY, after, proof)
    assert not consistent(old, len(leaves), before, EMPTY, proof)
    for at in range(len(proof)):
        assert not consistent(old, len(leaves), before, after, [*proof[:at], EMPTY, *proof[at + 1 :]])
    changed = draw.draw(st.integers(0, old - 1))
    forged = [*leaves[:changed], leaf_hash(b"another leaf"), *leaves[changed + 1 :]]
    assert not consistent(old, len(leaves), before, root(forged), consistency(forged, old))
