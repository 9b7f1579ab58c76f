"""Processes that tests start on this machine, to train together."""
import os
import socket
import subprocess
import sys
from pathlib import Path

MEMBER = Path(__file__).with_name("member.py")


def free_port():
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


def environment(devices=1):
    """This environment, with so many CPU devices in each process instead of the tests' two."""
    flag = "--xla_force_host_platform_device_count="
    return {**os.environ, "XLA_FLAGS": os.environ["XLA_FLAGS"].replace(f"{flag}2",
                                                                       f"{flag}{devices}")}


def start(what, count, out="-", devices=1, **settings):
    """So many processes of `member`, each with so many devices, and further settings of it."""
    port = free_port()
    return [subprocess.Popen(
        [sys.executable, str(MEMBER), what, str(count), str(index), str(port), str(out),
         *(f"{name}={value}" for name, value in settings.items())],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(devices))
        for index in range(count)]


def said_by(members):
    """What each has said, and their exit codes."""
    said = [member.communicate(timeout=600)[0] for member in members]
    return said, [member.returncode for member in members]
