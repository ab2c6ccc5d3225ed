"""Files appear whole or not at all."""

import os
import resource
import stat

import pytest

from dpmpi.data import DataError, atomic_write, atomic_writes, check_writable


def test_a_file_appears_whole_with_ordinary_permissions(tmp_path):
    path = tmp_path / "model.npz"
    mask = os.umask(0o027)
    try:
        with atomic_write(path) as file:
            file.write(b"new")
            assert not path.exists()
    finally:
        os.umask(mask)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["model.npz"]


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "model.npz"
    path.write_bytes(b"old")

    def write():
        with atomic_write(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.npz"]


@pytest.mark.parametrize("n_bytes", [100, 1 << 20])  # found out when all is written, and in the midst of it
def test_one_file_that_has_no_room_leaves_both_as_they_were(tmp_path, n_bytes):
    (tmp_path / "small").write_bytes(b"old")

    def write():
        with atomic_writes(tmp_path / "small", tmp_path / "large") as (small, large):
            small.write(b"new")
            large.write(bytes(n_bytes))

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (99, limit[1]))
    try:
        with pytest.raises(DataError, match="large: cannot be written: file too large"):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert (tmp_path / "small").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["small"]
    write()
    assert [(tmp_path / name).stat().st_size for name in ("small", "large")] == [3, n_bytes]
    assert len(os.listdir(tmp_path)) == 2


def test_another_files_error_stays_itself(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "t"):
        (tmp_path / "none").read_bytes()


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_what_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    for path, part in [
        (tmp_path / "none" / "t", "there is no folder"),
        (tmp_path, "a folder or a device"),
        ("/dev/null", "a folder or a device"),
        (tmp_path / "file" / "t", "not a directory"),
    ]:
        with pytest.raises(DataError) as caught:
            check_writable(path)
        assert str(path) in str(caught.value)
        assert part in str(caught.value)
        with pytest.raises(DataError, match=part), atomic_write(path):
            pytest.fail("opened")
    check_writable(tmp_path / "t")
    assert os.listdir(tmp_path) == ["file"]
