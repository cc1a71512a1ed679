"""What has to come from the system."""

from __future__ import annotations

import os
import sys

import pytest
from provision import packages
from provision.report import SetupError
from setup_fakes import is_one_sentence


def test_missing_packages_are_listed_once_and_in_order():
    absent, present = (lambda: False), (lambda: True)
    needs = [
        packages.Need("b", absent),
        packages.Need("a", absent),
        packages.Need("c", present),
        packages.Need("b", absent),
    ]
    assert packages.missing_packages(needs) == ["b", "a"]


def test_programs_are_found_on_path(only_fakes):
    assert packages.missing_packages([packages.command("vvp", "iverilog")]) == ["iverilog"]
    only_fakes("vvp", "exit 0")
    assert packages.missing_packages([packages.command("vvp", "iverilog")]) == []


def test_header_is_asked_of_the_compiler(only_fakes):
    need = packages.header("zlib.h", "zlib1g-dev")
    assert packages.missing_packages([need]) == ["zlib1g-dev"]
    only_fakes("g++", "exit 1")
    assert packages.missing_packages([need]) == ["zlib1g-dev"]
    only_fakes("g++", "exit 0")
    assert packages.missing_packages([need]) == []


def test_without_apt_the_user_learns_what_to_install(only_fakes, places):
    with pytest.raises(SetupError, match=r"no apt here.*: g\+\+ flex") as caught:
        packages.install(["g++", "flex"], places.log)
    assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize(("sudo", "reason"), [(None, "there is no sudo"), ("exit 1", "refused")])
def test_without_rights_the_user_learns_what_root_has_to_do(
    only_fakes, places, monkeypatch, sudo, reason
):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    only_fakes("apt-get", "exit 0")
    if sudo:
        only_fakes("sudo", sudo)
    with pytest.raises(
        SetupError, match=reason + r".*`apt-get update && apt-get install flex`"
    ) as caught:
        packages.install(["flex"], places.log)
    assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize(("user", "calls"), [(0, 0), (1000, 2)])
def test_packages_are_installed_by_root_or_by_sudo(
    fakes, places, monkeypatch, tmp_path, user, calls
):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    fakes("apt-get", f'echo "$*" > {tmp_path}/apt')
    fakes("sudo", f'echo "$*" >> {tmp_path}/sudo; [ "$1" = -v ] || exec "$@"')
    packages.install(["flex", "bison"], places.log)
    assert (tmp_path / "apt").read_text().endswith("install flex bison\n")
    sudo = (tmp_path / "sudo").read_text() if (tmp_path / "sudo").exists() else ""
    assert len(sudo.splitlines()) == calls


def test_apt_without_network_is_one_sentence(fakes, places, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    fakes("apt-get", "echo \"Err:1 x Temporary failure resolving 'mirror'\"; exit 100")
    with pytest.raises(SetupError, match="network did not answer while installing") as caught:
        packages.install(["flex"], places.log)
    assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize(
    ("policy", "version"),
    [
        ("verilator:\n  Installed: (none)\n  Candidate: 5.006-3\n  Version table:\n", "5.006-3"),
        ("verilator:\n  Installed: (none)\n  Candidate: (none)\n", ""),
        ("", ""),
    ],
)
def test_candidate_is_what_apt_would_install(only_fakes, policy, version):
    only_fakes("apt-cache", f"printf '%s' '{policy}'")
    assert packages.candidate("verilator") == version


def test_python_that_no_package_can_mend_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "base_prefix", "/elsewhere")
    monkeypatch.setattr(packages, "_python_is_shared", lambda: False)
    with pytest.raises(SetupError, match="built without its shared library") as caught:
        packages.check_interpreter()
    assert is_one_sentence(str(caught.value))
