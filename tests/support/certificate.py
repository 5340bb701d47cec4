"""Certificates for servers of tests."""

import shutil
import subprocess
from pathlib import Path

import pytest


def self_signed(folder: Path, name: str) -> Path:
    """A certificate for a name such as `DNS:named.test`, in one file with its key."""
    if not (openssl := shutil.which("openssl")):
        pytest.skip("needs the openssl command to make a certificate")
    pem = folder / "certificate.pem"
    command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", "/CN=tests", "-addext", f"subjectAltName={name}"]
    files = ["-keyout", str(pem), "-out", str(pem)]
    subprocess.run([openssl, *command.split(), *names, *files], check=True, capture_output=True)
    return pem
