# SPDX-License-Identifier: Apache-2.0
"""Packing a folder for upload: what goes in, what is refused, and that nothing but the content counts."""

import os
import pathlib
import socket
import subprocess
import tarfile

import pytest

from stackyard.cli import archive
from stackyard.cli.archive import Archive, pack
from stackyard.drivers.sources.archives import SourceFolder
from stackyard.model import errors


def git(folder: pathlib.Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def names(archive: Archive) -> list[str]:
    with tarfile.open(fileobj=archive.stream, mode="r:gz") as tar:
        return tar.getnames()


def write(root: pathlib.Path, *files: str, text: str = "x") -> None:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_a_git_work_tree(tmp_path: pathlib.Path) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, "app.py", "b/data.bin", "gone.py", "junk.log", "env/x")
    (tmp_path / ".gitignore").write_text("*.log\nenv/\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert pack(tmp_path).revision == commit
    write(tmp_path, "new.py")
    (tmp_path / "gone.py").unlink()
    packed = pack(tmp_path)
    assert packed.revision == commit + "-dirty"
    assert names(packed) == [".gitignore", "app.py", "b/data.bin", "new.py"]
    assert names(pack(tmp_path / "b")) == ["data.bin"]


def test_an_unchanged_tree_has_the_same_digest_and_the_server_agrees(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "t", "b", "a", "c/d")
    os.utime(tmp_path / "t" / "a", (1_000_000_000.75, 1_000_000_000.75))
    first, second = pack(tmp_path / "t"), pack(tmp_path / "t")
    assert first.digest == second.digest
    assert (first.files, first.revision) == (3, "")
    assert SourceFolder(tmp_path / "s").put(first.stream, 10_000) == first.digest
    write(tmp_path / "t", "a", text="y")
    assert pack(tmp_path / "t").digest != first.digest


def test_ignore_files_outside_git(tmp_path: pathlib.Path) -> None:
    write(
        tmp_path, "app.py", "x.log", "keep.log", "sub/x.log", "sub/y.txt", "node_modules/m/i.js", "v/pyvenv.cfg", "v/a"
    )
    write(tmp_path, "__pycache__/a.pyc", ".git/config", "out/a/b")
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\n/out\n")
    (tmp_path / "sub" / ".gitignore").write_text("!x.log\ny.txt\n")
    assert names(pack(tmp_path)) == [".gitignore", "app.py", "keep.log", "sub/.gitignore", "sub/x.log"]


def test_dockerignore_counts_for_a_single_context_only(tmp_path: pathlib.Path) -> None:
    write(tmp_path, "Dockerfile", "a.txt", "docs/a.md", "sub/a.txt")
    (tmp_path / ".dockerignore").write_text("docs\na.txt\nDockerfile\n")
    assert names(pack(tmp_path)) == [".dockerignore", "Dockerfile", "sub/a.txt"]
    write(tmp_path, "compose.yaml")
    assert "docs/a.md" in names(pack(tmp_path))


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "x/../../../outside"])
@pytest.mark.parametrize("tracked", [True, False])
def test_a_link_out_of_the_folder_is_refused_by_name(tmp_path: pathlib.Path, target: str, tracked: bool) -> None:
    write(tmp_path, "sub/a")
    (tmp_path / "sub" / "link").symlink_to(target)
    if tracked:
        git(tmp_path, "init", "-q")
        git(tmp_path, "add", ".")
    with pytest.raises(errors.BadInput, match=r"symlink 'sub/link' -> .* leaves the folder"):
        pack(tmp_path)


def test_links_within_are_kept_and_not_followed(tmp_path: pathlib.Path) -> None:
    write(tmp_path, "real/a")
    (tmp_path / "linked").symlink_to("real")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("later")
    packed = pack(tmp_path)
    assert names(packed) == ["dangling", "linked", "loop", "real/a"]


@pytest.mark.parametrize("tracked", [False, True])
def test_a_tree_that_is_too_large_is_refused_before_it_is_packed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tracked: bool
) -> None:
    write(tmp_path, "a", "deep/er/b")
    if tracked:
        git(tmp_path, "init")
        git(tmp_path, "add", "-A")
    with (tmp_path / "film.mp4").open("wb") as file:
        file.truncate(2 * 1024**3)  # sparse
    with pytest.raises(errors.BadInput, match=r"has 2048 MiB, 2048 are allowed; the largest file is 'film\.mp4'"):
        pack(tmp_path)
    (tmp_path / ".gitignore").write_text("film.mp4")
    assert names(pack(tmp_path)) == [".gitignore", "a", "deep/er/b"]
    monkeypatch.setattr(archive, "MAX_FILES", 5)
    pack(tmp_path)
    monkeypatch.setattr(archive, "MAX_FILES", 4)
    with pytest.raises(errors.BadInput, match="has 3 files in 2 folders, 4 together are allowed; name what need"):
        pack(tmp_path)


def test_sockets_and_missing_folders_are_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("s")
        with pytest.raises(errors.BadInput, match=r"'s' is a pipe, socket or device"):
            pack(tmp_path)
    with pytest.raises(errors.BadInput, match="is no folder"):
        pack(tmp_path / "absent")
