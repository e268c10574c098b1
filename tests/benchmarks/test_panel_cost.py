"""What the live panel takes of the processor while a run trains beside it."""

from __future__ import annotations

import time

import psutil
import pytest

pytestmark = [pytest.mark.benchmark, pytest.mark.slow]


def test_the_kernel_takes_less_than_a_hundredth_of_two_cores(tmp_path):
    """By the kernel's own CPU time, so that a busy machine changes little."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        messages = []

        def run(code: str) -> None:
            messages.clear()
            reply = client.execute_interactive(
                code,
                timeout=600,
                allow_stdin=True,  # so that there is a panel, as in a browser
                stdin_hook=lambda _: None,
                output_hook=messages.append,
            )
            assert reply["content"]["status"] == "ok", reply["content"]

        run("%load_ext nbtransfer\nimport os")
        run("print(os.getpid())")
        pid = next(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
        kernel = psutil.Process(int(pid))
        run("run = %finetune demo:minilm demo:tweets --max-steps 2")  # imports, and a warm worker
        before, began = kernel.cpu_times(), time.monotonic()
        run("run = %finetune demo:minilm demo:tweets --epochs 1")
        took, after = time.monotonic() - began, kernel.cpu_times()
        used = after.user + after.system - before.user - before.system
        num_updates = sum(m["msg_type"] == "comm_msg" for m in messages)
        print(f"{used:.2f} s of CPU time in {took:.0f} s, {num_updates} messages")
        assert used / took / 2 < 0.01
        assert num_updates / took < 6  # the live part draws four times a second at most
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
