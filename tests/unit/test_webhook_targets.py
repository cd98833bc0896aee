"""Where webhooks may lead, and that they go to the very address that was looked at."""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address

import pytest

from app.webhooks.sender import Message, Sender
from app.webhooks.target import TargetRefusedError, UnknownHostError, is_public, parse_target
from tests.make import NOW
from tests.receiver import receiving


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.1.2.3",
        "224.0.0.1", "255.255.255.255", "240.0.0.1", "100.100.100.200", "::1", "::", "fe80::1", "fd00:ec2::254",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::", "2002:a00:1::1", "2001:db8::1", str(IPv4Address(0)),
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_told_in_every_form(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "193.99.144.85", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_too(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "", "hooks.example.com", "ftp://example.com/", "https://", "https:///path", "file:///etc/passwd",
        "http://user:password@example.com/", "https://example.com/#here", "https://example.com:99999/", "http://[::1/",
    ],
)  # fmt: skip
def test_what_is_no_plain_address_is_refused(url: str) -> None:
    with pytest.raises(TargetRefusedError):
        parse_target(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000/", "http://127.0.0.1/", "http://[::ffff:127.0.0.1]/", "http://127.1/",
        "http://0x7f000001/", "http://2130706433/", "https://10.0.0.1/", "http://[fe80::1]/",
    ],
)  # fmt: skip
async def test_a_target_inside_is_refused_by_address_or_name(url: str) -> None:
    sender = Sender(private_allowed=False)
    with pytest.raises((TargetRefusedError, UnknownHostError)):
        await sender.check(url)
    assert not (await sender.send(Message(url, "s" * 16, "1", b"{}"), NOW)).is_delivered
    await sender.close()


async def test_a_name_that_leads_inside_since_it_was_checked_is_not_followed() -> None:
    with receiving() as receiver:
        answers = [["93.184.215.14"], ["93.184.215.14", "127.0.0.1"]]

        async def look_up(_: str) -> Sequence[str]:
            return answers.pop(0)

        sender = Sender(private_allowed=False, look_up=look_up)
        url = f"http://hooks.example.com:{receiver.port}/"
        await sender.check(url)
        answer = await sender.send(Message(url, "s" * 16, "1", b"{}"), NOW)
        await sender.close()
        assert answer.error == "the host hooks.example.com has an address that is not public"
        assert receiver.received == []


async def test_a_name_is_looked_up_once_and_the_next_address_is_tried_where_one_does_not_answer() -> None:
    with receiving() as receiver, socket.socket() as closed:
        asked = []

        async def look_up(host: str) -> Sequence[str]:
            asked.append(host)
            return ["127.0.0.2", "127.0.0.1"]

        closed.bind(("127.0.0.2", 0))
        sender = Sender(private_allowed=True, look_up=look_up)
        url = f"http://hooks.example.com:{receiver.port}/path?key=1"
        assert (await sender.send(Message(url, "s" * 16, "1", b"{}"), NOW)).is_delivered
        await sender.close()
        (request,) = receiver.received
        assert asked == ["hooks.example.com"]
        assert (request.path, request.headers["Host"]) == ("/path?key=1", f"hooks.example.com:{receiver.port}")
