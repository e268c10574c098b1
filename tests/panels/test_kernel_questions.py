"""Tests of nbtransfer.panels.kernel_questions against a stand-in for ipykernel 7."""

import json
from types import SimpleNamespace

import pytest

from nbtransfer.panels import kernel_questions
from nbtransfer.panels.kernel_questions import answer_while_pumped, num_connections


def frames_of(kind):
    return [
        SimpleNamespace(buffer=json.dumps(part).encode())
        for part in ("signature", {"msg_type": kind}, {}, {}, {"target_name": "x"})
    ]


@pytest.fixture
def kernel():
    handed, answered, statuses = [], [], []

    async def answer(stream, idents, question):
        answered.append((question["header"]["msg_type"], question["content"]))

    socket = SimpleNamespace(send_multipart=lambda frames, copy: handed.append(frames), linger=7)
    pair = SimpleNamespace(from_socket=socket)
    return SimpleNamespace(
        shell_channel_thread=SimpleNamespace(manager=SimpleNamespace(_shell_channel_to_main=pair)),
        session=SimpleNamespace(feed_identities=lambda frames, copy: ([b"page"], frames)),
        shell_handlers={"kernel_info_request": answer, "comm_info_request": answer},
        shell_stream=None,
        _publish_status=lambda status, channel, parent: statuses.append(status),
        pair=pair,
        handed=handed,
        answered=answered,
        statuses=statuses,
    )


def test_questions_are_answered_while_the_main_thread_waits(kernel):
    answer_while_pumped(kernel)()
    kernel.pair.from_socket.send_multipart(frames_of("kernel_info_request"), copy=False)
    assert kernel.answered == [("kernel_info_request", {"target_name": "x"})]
    assert kernel.statuses == ["busy", "idle"]
    assert kernel.handed == []


def test_everything_else_reaches_the_main_thread_in_order(kernel):
    answer_while_pumped(kernel)()
    sent = [frames_of("execute_request"), frames_of("complete_request")]
    for frames in sent:
        kernel.pair.from_socket.send_multipart(frames, copy=False)
    assert kernel.handed == sent
    assert kernel.answered == []


def test_a_main_thread_that_does_not_wait_answers_itself(kernel, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(kernel_questions.time, "monotonic", lambda: now[0])
    answer_while_pumped(kernel)()
    now[0] += 5
    kernel.pair.from_socket.send_multipart(frames_of("kernel_info_request"), copy=False)
    assert len(kernel.handed) == 1
    assert kernel.answered == []


def test_pages_that_connect_are_counted_either_way(kernel):
    assert num_connections(kernel) == 0
    pump = answer_while_pumped(kernel)
    for kind in ("kernel_info_request", "comm_info_request", "execute_request"):
        kernel.pair.from_socket.send_multipart(frames_of(kind), copy=False)
    pump()
    kernel.pair.from_socket.send_multipart(frames_of("kernel_info_request"), copy=False)
    assert num_connections(kernel) == 2
    assert num_connections(None) == 0


def test_the_relay_is_put_there_once_and_is_the_socket_otherwise(kernel):
    answer_while_pumped(kernel)
    relay = kernel.pair.from_socket
    answer_while_pumped(kernel)
    assert kernel.pair.from_socket is relay
    assert relay.linger == 7


def test_a_message_that_cannot_be_read_is_handed_over(kernel):
    answer_while_pumped(kernel)()
    for frames in ([SimpleNamespace(buffer=b"stop aborting")], frames_of("x")[:1]):
        kernel.pair.from_socket.send_multipart(frames, copy=False)
    assert len(kernel.handed) == 2
