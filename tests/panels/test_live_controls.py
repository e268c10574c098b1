"""Tests of nbtransfer.panels.live_controls against stand-ins for the kernels it knows."""

import json
from collections import deque
from types import SimpleNamespace

import ipywidgets as widgets
import pytest

from nbtransfer.panels import live_controls


class NewComm:
    """A comm of ipykernel 7.4: it says which subshell is to hear it."""

    def _reply_subshell_for(self, data, default):
        return None


class OldComm:
    """A comm of any kernel before."""


def tree(comm):
    leaf = SimpleNamespace(comm=comm(), children=())
    return SimpleNamespace(comm=comm(), children=(leaf,)), leaf


@pytest.fixture
def shell(monkeypatch):
    """Set the kernel that is found."""

    def use(kernel):
        monkeypatch.setattr(
            live_controls, "get_ipython", lambda: kernel and SimpleNamespace(kernel=kernel)
        )
        return kernel

    monkeypatch.setattr(live_controls, "_own_subshell", {})
    return use


def subshell_kernel():
    manager = SimpleNamespace(made=0)

    def create():
        manager.made += 1
        return f"subshell-{manager.made}"

    manager._create_subshell = create
    manager._shell_channel_to_main = SimpleNamespace(from_socket=None)
    thread = SimpleNamespace(
        manager=manager, io_loop=SimpleNamespace(add_callback=lambda callback: callback())
    )
    return SimpleNamespace(_supports_kernel_subshells=True, shell_channel_thread=thread)


def test_outside_a_kernel_there_is_nothing_to_pump(shell):
    shell(None)
    assert live_controls.make_live(tree(OldComm)[0]) is None


def test_comms_that_choose_their_subshell_get_ours_which_is_made_once(shell):
    kernel = shell(subshell_kernel())
    for _ in range(2):
        root, leaf = tree(NewComm)
        live_controls.make_live(root)()
        assert root.comm._reply_subshell_for({}, "main") == "subshell-1"
        assert leaf.comm._reply_subshell_for({}, "main") == "subshell-1"
    assert kernel.shell_channel_thread.manager.made == 1


def test_comms_that_do_not_choose_are_left_to_the_front_end(shell):
    kernel = shell(subshell_kernel())
    assert live_controls.make_live(tree(OldComm)[0]) is not None
    assert kernel.shell_channel_thread.manager.made == 0


def test_a_kernel_that_changed_inside_means_late_controls_not_an_error(shell):
    shell(SimpleNamespace(_supports_kernel_subshells=True))
    assert live_controls.make_live(tree(NewComm)[0]) is None
    shell(SimpleNamespace())
    assert live_controls.make_live(tree(NewComm)[0]) is None


class OldKernel:
    """The parts of ipykernel 6 that are used, over a list of waiting messages."""

    def __init__(self, *kinds):
        waiting = deque(
            [None, SimpleNamespace(buffer=json.dumps({"msg_type": kind}).encode())]
            for kind in kinds
        )
        self.waiting = waiting
        socket = SimpleNamespace(
            poll=lambda *_: bool(waiting), recv_multipart=lambda *_, **__: waiting.popleft()
        )
        self.shell_stream = SimpleNamespace(socket=socket)
        self.session = SimpleNamespace(
            feed_identities=lambda raw, copy: ([], raw),
            deserialize=lambda frames, content, copy: json.loads(frames[1].buffer),
        )
        self.handled, self.queued, self.parents = [], [], []
        self.shell_handlers = {
            kind: lambda stream, ident, message: self.handled.append(message["msg_type"])
            for kind in ("comm_msg", "comm_close")
        }

    def get_parent(self, channel):
        return "the cell's request"

    def set_parent(self, ident, message, channel):
        self.parents.append(message)

    def _publish_status(self, status, channel):
        pass

    def dispatch_shell(self, raw):
        """Only its name is needed."""

    def schedule_dispatch(self, dispatch, raw):
        self.queued.append(json.loads(raw[1].buffer)["msg_type"])


def test_an_old_kernels_comm_messages_are_handled_and_others_keep_their_order(shell):
    kernel = shell(OldKernel("execute_request", "comm_msg", "complete_request", "comm_msg"))
    pump = live_controls.make_live(tree(OldComm)[0])
    pump()
    assert kernel.handled == ["comm_msg", "comm_msg"]
    assert kernel.queued == ["execute_request", "complete_request"]
    assert kernel.parents[-1] == "the cell's request"


def test_a_pump_that_fails_turns_itself_off(shell):
    kernel = shell(OldKernel("comm_msg", "comm_msg"))
    kernel.shell_handlers.clear()
    pump = live_controls.make_live(tree(OldComm)[0])
    pump()
    pump()
    assert len(kernel.waiting) == 1


def test_a_shutdown_is_known_from_the_kernel(shell):
    shell(SimpleNamespace(_shutdown_message=None))
    assert not live_controls.is_shutting_down()
    shell(SimpleNamespace(_shutdown_message={}))
    assert live_controls.is_shutting_down()
    shell(None)
    assert not live_controls.is_shutting_down()


def test_layouts_and_styles_are_walked_too_each_once():
    button = widgets.Button()
    box = widgets.VBox([button, button])
    found = list(live_controls.walk(box))
    assert {type(w).__name__ for w in found} >= {"VBox", "Button", "ButtonStyle", "Layout"}
    assert len(found) == len({id(w) for w in found})
    for widget in found:
        widget.close()
