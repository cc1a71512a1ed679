"""Where Verilator's source comes from."""

from __future__ import annotations

import pytest
from provision import source
from provision.report import SetupError


def target(release="bookworm", component="main", origin="Debian", label="Debian", key="", uri=""):
    return "\t".join([release, component, origin, label, key, uri])


MIRROR = "http://mirror.example/debian/"


@pytest.mark.parametrize(
    ("lines", "mirror"),
    [
        ([target(uri=MIRROR, key="/k.gpg")], source.Mirror(MIRROR, "/k.gpg")),
        ([target(uri=MIRROR, key="$(SIGNED_BY)")], source.Mirror(MIRROR, "")),
        (
            [target(origin="$(ORIGIN)", label="$(LABEL)", key="$(SIGNED_BY)", uri=MIRROR)],
            source.Mirror(MIRROR, ""),
        ),
        ([target("bookworm-security", label="Debian-Security", uri="http://s.example/")], None),
        ([target("nodistro", origin=". node", label=". node", uri="http://n.example/")], None),
        ([target(component="contrib", uri=MIRROR)], None),
        (
            [target(origin="Other", label="Other", uri="http://o.example/"), target(uri=MIRROR)],
            source.Mirror(MIRROR, ""),
        ),
        (["nonsense"], None),
        ([], None),
    ],
)
def test_mirror_is_the_one_that_serves_the_release_itself(lines, mirror):
    assert source.find_mirror("\n".join(lines), "bookworm") == mirror


def test_source_line_names_the_keyring_when_there_is_one():
    line = source.Mirror(MIRROR, "/k.gpg").source_line("testing")
    assert line == f"deb-src [signed-by=/k.gpg] {MIRROR} testing main\n"
    assert source.Mirror(MIRROR, "").source_line("testing") == f"deb-src {MIRROR} testing main\n"


@pytest.mark.parametrize(
    ("text", "codename"),
    [
        ('ID=debian\nVERSION_CODENAME=bookworm\nNAME="Debian GNU/Linux"\n', "bookworm"),
        ("ID=ubuntu\nVERSION_CODENAME=noble\n", ""),
        ("ID=debian\n", ""),
        ("", ""),
    ],
)
def test_codename_is_of_debian_only(text, codename):
    assert source.debian_codename(text) == codename


@pytest.mark.parametrize(
    ("records", "answer"),
    [
        ("Package: verilator\nVersion: 5.048-1\n", ("5.048-1", (5, 48))),
        ("Version: 5.032-1\n\nVersion: 5.048-1\nVersion: 5.040-1\n", ("5.048-1", (5, 48))),
        ("Version: 1:5.036-1~bpo\n", ("5.036-1~bpo", (5, 36))),
        ("", None),
    ],
)
def test_newest_source_version_is_found(records, answer):
    assert source.parse_source_version(records) == answer


@pytest.fixture
def mirror_of(tmp_path, fakes, monkeypatch):
    """Return what fakes an apt whose mirror has such a Verilator in each suite; it logs calls."""
    calls = tmp_path / "calls"
    release = tmp_path / "os-release"
    release.write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    monkeypatch.setattr(source, "OS_RELEASE", release)

    def make(offers):
        suite_of_call = 'list=$(echo "$*" | sed "s/.*Dir::Etc::sourcelist=\\([^ ]*\\).*/\\1/")'
        known = "\n".join(
            f"grep -q ' {suite} ' $list && version={version}" for suite, version in offers.items()
        )
        look = f'echo "$0 $*" >> {calls}\n{suite_of_call}\nversion=\n'
        targets = target(uri=MIRROR).replace("\t", "\\t")
        fakes(
            "apt-get",
            f"case $1 in indextargets) printf '{targets}\\n'; exit;; esac\n{look}{known}\n"
            '[ -n "$version" ] || { echo "E: no such suite"; exit 100; }\n'
            "case $* in *download-only*) mkdir verilator-x; touch verilator-x/configure\n"
            "tar czf verilator_x.orig.tar.gz verilator-x; rm -r verilator-x;; esac",
        )
        fakes("apt-cache", f'{look}{known}\necho "Version: $version"')
        return calls

    return make


@pytest.mark.parametrize(
    ("offers", "suite"),
    [
        ({"stable-backports": "5.036-1", "testing": "5.048-1"}, "stable-backports"),
        ({"stable-backports": "5.032-1", "testing": "5.048-1"}, "testing"),
        ({"unstable": "5.050-1"}, "unstable"),
    ],
)
def test_first_newer_suite_with_a_new_enough_source_is_used(
    tmp_path, places, mirror_of, offers, suite
):
    calls = mirror_of(offers)
    folder = tmp_path / "work"
    folder.mkdir()
    tree = source.from_mirror(folder, places.log)
    assert (tree / "configure").exists()
    fetched = [line for line in calls.read_text().splitlines() if "--download-only" in line]
    assert len(fetched) == 1
    assert f"verilator={offers[suite]}" in fetched[0]


def test_apt_of_the_machine_is_left_alone(tmp_path, places, mirror_of):
    calls = mirror_of({"testing": "5.048-1"})
    folder = tmp_path / "work"
    folder.mkdir()
    source.from_mirror(folder, places.log)
    lines = calls.read_text().splitlines()
    assert lines
    for line in lines:
        for setting in ("Dir::State", "Dir::State::lists", "Dir::Cache", "Dir::Etc::sourcelist"):
            assert f"{setting}={folder}/" in line
        assert "Dir::Etc::sourceparts=/dev/null" in line


@pytest.mark.parametrize(
    ("offers", "reason"),
    [
        ({}, "no such suite"),
        ({"testing": "5.032-1", "unstable": "5.032-1", "stable-backports": "5.0-1"}, "new enough"),
    ],
)
def test_mirror_without_a_new_enough_source_is_said(tmp_path, places, mirror_of, offers, reason):
    mirror_of(offers)
    folder = tmp_path / "work"
    folder.mkdir()
    with pytest.raises(SetupError, match=reason):
        source.from_mirror(folder, places.log)


def test_git_fetches_the_release_tag(tmp_path, places, fakes):
    fakes("git", 'echo "$*" >&2; for last; do :; done; mkdir "$last"')
    tree = source.from_git(tmp_path, places.log)
    assert tree.is_dir()
    assert "--branch v5.048" in places.log.read_text()
