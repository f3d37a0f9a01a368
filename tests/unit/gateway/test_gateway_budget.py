"""The memory budget: the oldest makes progress, one network has no more than a quarter."""

import pytest

from mpp.gateway.budget import Budget, Reservation, client_network


def reservations(budget: Budget, *networks: str) -> list[tuple[Reservation, list[str]]]:
    made = []
    for network in networks:
        told: list[str] = []
        made.append((Reservation(network, lambda told=told: told.append("gave way")), told))
    return made


def test_the_newest_gives_way_and_the_oldest_goes_on():
    budget = Budget(100)
    (old, old_told), (new, new_told) = reservations(budget, "a", "b")
    assert budget.grow(old, 60, exempt=True)
    assert budget.grow(new, 40, exempt=True)
    assert budget.grow(old, 80, exempt=True)
    assert (old_told, new_told) == ([], ["gave way"])
    assert (budget.used, new.octets) == (80, 0)


def test_one_that_is_the_newest_itself_holds_nothing():
    budget = Budget(100)
    (old, _), (new, told) = reservations(budget, "a", "b")
    budget.grow(old, 60, exempt=True)
    assert not budget.grow(new, 50, exempt=True)
    assert told == ["gave way"]
    assert budget.used == 60


def test_a_network_has_a_quarter_and_others_are_not_hurt():
    budget = Budget(100)
    (other, other_told), (first, first_told), (second, second_told) = reservations(budget, "b", "a", "a")
    budget.grow(first, 20, exempt=False)
    budget.grow(other, 20, exempt=False)
    assert not budget.grow(second, 6, exempt=False)
    assert (other_told, first_told, second_told) == ([], [], ["gave way"])


def test_the_exempt_know_no_quarter():
    budget = Budget(100)
    ((one, told),) = reservations(budget, "a")
    assert budget.grow(one, 99, exempt=True)
    assert told == []


def test_what_is_worked_at_does_not_give_way_and_new_ones_do():
    budget = Budget(100)
    (done, done_told), (new, new_told) = reservations(budget, "a", "b")
    budget.grow(done, 90, exempt=True)
    budget.complete(done)
    assert not budget.grow(new, 20, exempt=True)
    assert budget.grow(done, 120, exempt=True)  # it grew while it was normalised
    assert (done_told, new_told) == ([], ["gave way"])
    budget.release(done)
    assert budget.grow(done, 50, exempt=True)
    assert budget.grow(new, 30, exempt=True)


def test_release_gives_all_back():
    budget = Budget(100)
    ((one, _),) = reservations(budget, "a")
    budget.grow(one, 20, exempt=False)
    budget.release(one)
    budget.release(one)
    assert (budget.used, one.octets) == (0, 0)


@pytest.mark.parametrize(
    ("address", "network"),
    [("192.0.2.7", "192.0.2"), ("2001:db8:0:1::9", "2001:0db8:0000:0001"), ("", "local")],
)
def test_clients_are_counted_by_network(address, network):
    assert client_network(address) == network
