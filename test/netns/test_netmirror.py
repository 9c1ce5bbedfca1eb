"""Addresses, routes and neighbours of a real kernel: runs the C program netmirror_test."""
import os
import subprocess

import pytest

from gateways import BUILD


def test_netmirror():
    program = os.path.join(BUILD, "test", "netns", "netmirror_test")
    done = subprocess.run([program], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=180)
    if done.returncode == 77:
        pytest.skip(done.stdout)
    assert done.returncode == 0, done.stdout
