"""The node's table says what a plain dictionary would, whatever the workers do and whichever of them dies."""

from collections import Counter as Tally
from hashlib import blake2b

from hypothesis import given, settings
from hypothesis import strategies as st

from mpp.net.table import REFUSALS_MINUTES, NodeTable

SLOTS = 3
_HOSTS = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", ""]
_steps = st.lists(
    st.tuples(
        st.integers(0, SLOTS - 1),
        st.sampled_from(["open", "close", "refuse", "take", "let go", "die"]),
        st.sampled_from(_HOSTS),
        st.integers(0, 400),
    ),
    max_size=60,
)


class Model:
    def __init__(self):
        self.open = [Tally() for _ in range(SLOTS)]
        self.refused = []
        self.hands = [Tally() for _ in range(SLOTS)]
        self.crashes = Tally()

    def step(self, slot, verb, host, now):
        """Do the step; False where the worker would not do it, having nothing to end."""
        if verb == "open":
            self.open[slot][host] += 1
        elif verb == "close":
            if not self.open[slot][host]:
                return False
            self.open[slot][host] -= 1
        elif verb == "refuse":
            self.refused.append((host, now // 60))
        elif verb == "take":
            self.hands[slot][host] += 1
        elif verb == "let go":
            if not self.hands[slot][host]:
                return False
            self.hands[slot][host] -= 1
        else:
            self.crashes.update({each for each, count in self.hands[slot].items() if count})
            self.open[slot], self.hands[slot] = Tally(), Tally()
        return True


def digest(host):
    return blake2b(host.encode(), digest_size=16).digest()


@settings(max_examples=60)
@given(_steps)
def test_the_table_says_what_a_dictionary_would(steps):
    table, model = NodeTable.create(SLOTS, hosts=64), Model()
    writers = [table.writer(slot) for slot in range(SLOTS)]
    now = 6000
    for slot, verb, host, passed in steps:
        now += passed
        if not model.step(slot, verb, host, now):
            continue
        writer = writers[slot]
        if verb == "open":
            writer.connection_opened(host)
        elif verb == "close":
            writer.connection_closed(host)
        elif verb == "refuse":
            writer.refused(host, now)
        elif verb == "take":
            assert writer.take_in_hand(digest(host)) == model.crashes[host]
        elif verb == "let go":
            writer.let_go(digest(host))
        else:
            table.clear(slot, now)
            writers[slot] = table.writer(slot)
    for reader in writers:
        assert reader.connections() == sum(sum(each.values()) for each in model.open)
        for host in _HOSTS:
            assert reader.connections_of(host) == sum(each[host] for each in model.open)
            recent = [1 for one, minute in model.refused if one == host and minute > now // 60 - REFUSALS_MINUTES]
            assert reader.refusals_of(host, now) == len(recent)
    for host in _HOSTS:
        assert table.crashes_of(digest(host)) == model.crashes[host]
