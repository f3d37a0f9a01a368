"""Binding: a socket a slot, shared ones, dead and living socket files, messages that say what to do."""

import socket
import stat

import pytest

from mpp.gateway.settings import Listener
from mpp.gateway.sockets import BindError, bind, bind_status, describe


def listener(address, name="in"):
    return Listener.model_validate({"name": name, "address": address})


@pytest.fixture
def bound():
    """Bind, and close what came of it at the end."""
    found = []

    def begin(*listeners, slots=3, passed=None):
        found.append(bind(listeners, slots, passed or {}))
        return found[-1]

    yield begin
    for slots in found:
        for slot in slots:
            for _, one in slot:
                one.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_each_slot_has_a_socket_of_its_own_on_one_port(bound, host):
    slots = bound(listener(f"{host}:0"))
    ports = {one.getsockname()[1] for slot in slots for _, one in slot}
    assert len(ports) == 1
    assert len({one.fileno() for slot in slots for _, one in slot}) == 3
    assert all(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for slot in slots for _, one in slot)
    assert not any(one.getblocking() or one.get_inheritable() for slot in slots for _, one in slot)
    assert describe(slots[0][0][1]) == f"{host}:{ports.pop()}"


def test_a_port_in_use_is_told_even_where_it_could_be_shared(bound):
    slots = bound(listener("127.0.0.1:0"))
    port = slots[0][0][1].getsockname()[1]
    with pytest.raises(BindError, match=rf"^listener in: 127.0.0.1:{port}: Address already in use; stop what uses it"):
        bind([listener(f"127.0.0.1:{port}")], 2, {})


def test_an_address_of_another_machine_is_told():
    with pytest.raises(BindError, match=r"^listener in: 192.0.2.1:25: Cannot assign requested address"):
        bind([listener("192.0.2.1:25")], 1, {})


def test_a_unix_path_is_one_socket_of_all_slots_that_anyone_may_connect_to(bound, tmp_path):
    path = tmp_path / "smtp"
    slots = bound(listener(f"unix:{path}"))
    assert len({one for slot in slots for _, one in slot}) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert describe(slots[0][0][1]) == f"unix:{path}"


def test_a_dead_socket_file_is_replaced(bound, tmp_path):
    path = tmp_path / "smtp"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    slots = bound(listener(f"unix:{path}"))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        slots[0][0][1].accept()[0].close()


@pytest.mark.parametrize("backlog", [1, 0])
def test_a_living_socket_file_is_left_alone(tmp_path, backlog):
    path = tmp_path / "smtp"
    with socket.socket(socket.AF_UNIX) as living, socket.socket(socket.AF_UNIX) as client:
        living.bind(str(path))
        living.listen(backlog)
        client.setblocking(False)
        client.connect(str(path))
        with pytest.raises(BindError, match=r"smtp: another process listens there; stop what uses it"):
            bind([listener(f"unix:{path}")], 1, {})
        assert path.exists()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "smtp"
    path.write_text("precious")
    with pytest.raises(BindError, match="is there and is no socket"):
        bind([listener(f"unix:{path}")], 1, {})
    assert path.read_text() == "precious"


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(BindError, match=r"No such file or directory; make the folder$"):
        bind([listener(f"unix:{tmp_path}/none/smtp")], 1, {})


def test_passed_sockets_take_the_place_of_the_address(bound):
    one, two = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    slots = bound(listener("192.0.2.1:25", "mx"), listener("127.0.0.1:0", "other"), passed={"mx": [one, two]})
    assert [[each.name for each, _ in slot] for slot in slots] == [["mx", "mx", "other"]] * 3
    assert {bound for slot in slots for each, bound in slot if each.name == "mx"} == {one, two}
    assert not one.getblocking()


def test_the_status_address():
    in_use = r"^node.status 127.0.0.1:\d+: Address already in use"
    with bind_status("127.0.0.1:0") as first, pytest.raises(BindError, match=in_use):
        bind_status(describe(first))
    with bind_status("[::1]:0") as second:
        assert describe(second).startswith("[::1]:")
    with pytest.raises(BindError, match=r"^node.status nowhere: is no address"):
        bind_status("nowhere")
