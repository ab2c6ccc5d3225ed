"""Files appear whole or not at all."""

import os
import stat

import pytest

from dpmpi.data import DataError, atomic_write, check_writable


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


def test_a_full_disk(tmp_path):
    with pytest.raises(DataError, match="cannot be written: no space left"), atomic_write(tmp_path / "t"):
        raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []


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
