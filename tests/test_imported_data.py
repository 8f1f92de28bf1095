"""One's own pictures as a data set: what is kept of them, what is refused, and that nothing else stays.

Zips are made with zipfile where it can write them, and changed byte by byte where it cannot.
"""

import io
import json
import os
import stat
import struct
import threading
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.learning.datasets import DataError, Source, find, imported, picture_files, zips
from explorer.learning.datasets.imported import forget, import_folder, import_zip, listed
from explorer.learning.datasets.picture_files import MOST_PICTURES
from explorer.pictures import reading
from explorer.pictures.reading import MOST_BYTES

Files = dict[str, bytes]


def picture(grey: int, size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (grey, grey, 255 - grey)).save(file, kind)
    return file.getvalue()


def pets(each: int = 5, first: int = 0) -> Files:
    """Cats are dark and dogs are bright; no two pictures are alike."""
    return {
        f"{name}/{i}.png": picture(first + base + i) for name, base in (("cats", 0), ("dogs", 200)) for i in range(each)
    }


def zipped(files: Files, **options: object) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data, **options)  # type: ignore[arg-type]
    return file.getvalue()


def laid(folder: Path, files: Files) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where imported sets lie."""
    monkeypatch.setenv("EXPLORER_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "imported"


def stored(kept: Path) -> list[str]:
    return sorted(path.name for path in kept.iterdir()) if kept.exists() else []


def take(files: Files, size: int = 8, channels: int = 3) -> Source:
    return import_zip(zipped(files), "pets.zip", size, channels)


def refusal(kept: Path, data: bytes | Path, size: int = 8, channels: int = 3) -> str:
    """The sentence with which a zip, or a folder, is refused, and nothing of it stays."""
    before = stored(kept)
    with pytest.raises(DataError) as caught:
        import_folder(data, size, channels) if isinstance(data, Path) else import_zip(data, "x.zip", size, channels)
    assert stored(kept) == before
    sentence = str(caught.value)
    assert sentence.isprintable()
    assert len(sentence) < 300
    assert sentence.endswith(".")
    return sentence


# --- what is kept


def test_single_test_images_are_read_alone(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are in the whole set, without the others."""
    source = take(pets(20))
    expected = source.load(8, 3, 0, None).examples((0, 3, 5))
    monkeypatch.setattr(imported, "_halves", lambda folder, about: pytest.fail("all of them are read"))
    found = source.examples(8, 3, (0, 3, 5))
    assert [one.label for one in found] == [one.label for one in expected]
    assert all(np.array_equal(a.picture.pixels, b.picture.pixels) for a, b in zip(found, expected, strict=True))
    assert [one.picture for one in found] == [one.picture for one in expected]
    with pytest.raises(DataError, match="has test images 0 to"):
        source.examples(8, 3, (source.images[1],))


def test_a_zip_becomes_a_data_set(kept: Path) -> None:
    steps: list[tuple[int, int]] = []
    files = pets() | {"cats/": b""}
    source = import_zip(zipped(files), "C:\\my\\pets.zip", 8, 3, lambda done, total: steps.append((done, total)))
    assert steps == [(i + 1, 10) for i in range(10)]
    assert (source.title, source.classes, source.images) == ("pets", ("cats", "dogs"), (8, 2))
    assert (source.sizes, source.channels, source.most_images) == ((8, 8), (3,), 8)
    data = source.load(8, 3, 0, None)
    # each class gives one of its five to the test, and no picture is lost
    assert data.test.labels.tolist() == [0, 1]
    assert sorted(data.train.labels.tolist()) == [0] * 4 + [1] * 4
    greys = {
        int(image[0, 0, 0]): int(label) for half in (data.train, data.test) for image, label in zip(*half, strict=True)
    }
    assert greys == dict.fromkeys(range(5), 0) | {200 + i: 1 for i in range(5)}
    for half in (data.train, data.test):
        assert half.images.dtype == np.uint8
        assert (half.images[:, 2] == 255 - half.images[:, 0]).all()
    values = data.train.images / 255
    assert data.mean == pytest.approx(values.mean(axis=(0, 2, 3)))
    assert data.std == pytest.approx(values.std(axis=(0, 2, 3)), abs=1e-3)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700


def test_it_is_found_by_its_name(kept: Path) -> None:
    source = take(pets())
    found = find(source.name)
    assert (found.name, found.classes, found.images) == (source.name, source.classes, source.images)
    assert np.array_equal(found.load(8, 3, 0, None).train.images, source.load(8, 3, 0, None).train.images)
    assert len(found.load(8, 3, 4, None).train.labels) == 4
    assert sorted(found.load(8, 3, 4, None).train.labels.tolist()) == [0, 0, 1, 1]
    with pytest.raises(DataError, match="can be had in 8 px"):
        found.load(16, 3, 0, None)
    assert stored(kept) == [source.name.removeprefix("imported-")]


def test_pictures_are_resized_by_their_shorter_side_and_cropped() -> None:
    stripes = np.zeros((20, 60, 3), np.uint8)
    stripes[:, 20:40] = (200, 100, 50)  # what is left of it
    file = io.BytesIO()
    Image.fromarray(stripes).save(file, "PNG")
    files = {f"{name}/{i}.png": file.getvalue() + bytes(i) for name in "ab" for i in range(2)}
    colour = take(files, size=10).load(10, 3, 0, None).train.images
    assert np.abs(colour[0, :, :, 2:-2].reshape(3, -1).T.astype(int) - (200, 100, 50)).max() <= 1
    grey = take(files, size=10, channels=1).load(10, 1, 0, None).train.images
    assert grey.shape == (2, 1, 10, 10)
    assert np.abs(grey[0, 0, :, 2:-2].astype(int) - round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)).max() <= 1


def test_halves_are_taken_as_they_are_given() -> None:
    train = {f"train/{name}": data for name, data in pets(3).items()}
    test = {f"test/{name}": data for name, data in pets(2, first=20).items()}
    val = {f"val/{name}": data for name, data in pets(1, first=40).items()}
    for halves, title in (
        (train | test, "test"),
        (train | {name.replace("test/", "Val/"): d for name, d in test.items()}, "val"),
    ):
        data = take(halves).load(8, 3, 0, None)
        assert sorted(data.train.images[:, 0, 0, 0].tolist()) == [0, 1, 2, 200, 201, 202], title
        assert sorted(data.test.images[:, 0, 0, 0].tolist()) == [20, 21, 220, 221], title
    three = take(train | test | val)
    assert three.name == take(train | test).name  # what is for choosing among recipes is left out
    alone = take({f"train/{name}": data for name, data in pets().items()})
    assert alone.name == take(pets()).name


def test_folders_around_all_of_it_do_not_matter() -> None:
    around = {f"my pets/2024/{name}": data for name, data in pets().items()}
    assert take(around).name == take(pets()).name


def test_what_systems_add_is_passed_over() -> None:
    added = dict.fromkeys(
        ("__MACOSX/cats/._1.png", ".DS_Store", "cats/.DS_Store", "dogs/Thumbs.db", "Desktop.ini"), b"?"
    )
    assert take(pets() | added).name == take(pets()).name


def test_the_name_tells_content_size_and_channels() -> None:
    files = pets()
    names = {take(files).name, take(files, 9).name, take(files, 8, 1).name, take(pets(6)).name}
    swapped = {
        name.replace("cats", "x").replace("dogs", "cats").replace("x", "dogs"): data for name, data in files.items()
    }
    names.add(take(swapped).name)
    assert len(names) == 5
    stored_zip = import_zip(zipped(files, compress_type=zipfile.ZIP_STORED), "other.zip", 8, 3)
    assert stored_zip.name == take(files).name
    assert all(imported.NAME.fullmatch(name) for name in names)


def test_what_is_there_is_not_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    source = take(pets())
    monkeypatch.setattr(imported, "read_pictures", lambda *_: pytest.fail("decoded"))
    assert take(pets()).name == source.name


def test_a_zip_on_disk_and_one_that_was_sent_are_one(tmp_path: Path) -> None:
    path = tmp_path / "pets.zip"
    path.write_bytes(zipped(pets()))
    assert import_zip(path, path.name, 8, 3).name == take(pets()).name


def test_two_imports_at_once_both_succeed(kept: Path) -> None:
    data, found = zipped(pets()), []
    threads = [threading.Thread(target=lambda: found.append(import_zip(data, "x", 8, 3))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert stored(kept) == [found[0].name.removeprefix("imported-")]


# --- folders of the machine's owner


def test_a_folder_is_listed_and_a_zip_is_not(tmp_path: Path) -> None:
    zipped_one = take(pets(6))
    source = import_folder(laid(tmp_path / "Pets", pets()), 8, 3)
    assert source.title == "Pets"
    assert [one.name for one in listed()] == [source.name]
    # once the owner has it too, the zip's is listed
    assert import_folder(laid(tmp_path / "More", pets(6)), 8, 3).name == zipped_one.name
    assert [one.title for one in listed()] == ["More", "Pets"]
    take(pets())
    assert len(listed()) == 2


def test_what_is_deleted_is_gone(kept: Path, tmp_path: Path) -> None:
    source, other = import_folder(laid(tmp_path / "Pets", pets()), 8, 3), take(pets(6))
    forget(source.name)
    assert listed() == ()
    assert stored(kept) == [other.name.removeprefix("imported-")]
    for name in (source.name, "imported-", "../data", f"imported-../../{source.name}"):
        with pytest.raises(DataError, match="nothing to delete"):
            forget(name)
    with pytest.raises(DataError, match="There is no imported data set"):
        find(source.name)


def test_links_and_other_things_in_a_folder_are_refused(kept: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture(7))
    folder = laid(tmp_path / "Pets", pets())
    (folder / "cats" / "link.png").symlink_to(secret)
    assert '"cats/link.png" is a link' in refusal(kept, folder)
    (folder / "cats" / "link.png").unlink()
    (folder / "birds").symlink_to(folder / "cats", target_is_directory=True)
    assert '"birds" is a link' in refusal(kept, folder)
    (folder / "birds").unlink()
    os.mkfifo(folder / "dogs" / "pipe.png")
    assert '"dogs/pipe.png" is no file' in refusal(kept, folder)
    (folder / "dogs" / "pipe.png").unlink()
    os.close(os.open(os.fsencode(folder) + b"/dogs/\xff.png", os.O_CREAT))
    assert "is not written in UTF-8" in refusal(kept, folder)
    assert "cannot be read (No such file or directory)" in refusal(kept, tmp_path / "none")


def test_a_picture_that_changes_while_it_is_read_is_refused(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = laid(tmp_path / "Pets", pets())
    real = imported.read_pictures

    def later(*arguments: object) -> object:
        (folder / "cats" / "3.png").write_bytes(picture(99))
        (folder / "dogs" / "3.png").write_bytes(picture(99))
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(imported, "read_pictures", later)
    assert "was changed while it was read" in refusal(kept, folder)


# --- zips that make no data set


NO_SETS: dict[str, tuple[Callable[[], Files], str]] = {
    "no picture": (lambda: {"bomb.zip": pets()["cats/0.png"]} | pets(), '"bomb.zip" lies beside the folders'),
    "a text": (lambda: pets() | {"cats/7.png": b"meow"}, '"cats/7.png" is not a picture that can be read here'),
    "cut short": (lambda: pets() | {"dogs/7.png": picture(1, (99, 99))[:60]}, '"dogs/7.png" is damaged or cut short'),
    "empty file": (lambda: pets() | {"dogs/7.png": b""}, '"dogs/7.png" is empty'),
    "no class": (dict, "there are no pictures"),
    "one class": (lambda: {f"cats/{i}.png": picture(i) for i in range(3)}, "there are pictures of one class only:"),
    "one picture": (lambda: pets() | {"ants/1.png": picture(1)}, '"ants" has one picture only'),
    "too deep": (lambda: pets() | {"cats/old/1.png": picture(1)}, '"cats/old/1.png" lies too deep'),
    "no training": (
        lambda: {f"train/{n}": d for n, d in pets().items()} | {f"test/ants/{i}.png": picture(i) for i in range(2)},
        '"ants" has pictures for the test only',
    ),
    "one name": (
        lambda: pets() | {f"{'x' * 90}{a}/{i}.png": picture(i) for a in "ab" for i in range(2)},
        "would be shown by one name",
    ),
    "a thousand and one": (
        lambda: {f"{c}/{i}.png": b"" for c in range(1001) for i in range(2)},
        "there are pictures of 1,001 classes",
    ),
}


@pytest.mark.parametrize("kind", NO_SETS)
def test_what_makes_no_data_set_is_named(kind: str, kept: Path) -> None:
    files, reason = NO_SETS[kind]
    sentence = refusal(kept, zipped(files()))
    assert sentence.startswith("In the zip, ")
    assert reason in sentence


def test_sizes_that_cannot_be_kept_are_refused(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for size, channels in ((7, 3), (257, 3), (8, 2)):
        assert "8 to 256 px with 1 or 3 channels" in refusal(kept, zipped(pets()), size, channels)
    monkeypatch.setattr(imported, "MOST_BYTES", 10 * 3 * 8 * 8 - 1)
    assert "choose a smaller input size" in refusal(kept, zipped(pets()))


def test_the_disk_is_not_filled_by_visitors(kept: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    take(pets())
    monkeypatch.setattr(imported, "MOST_KEPT", 2 * 10 * 3 * 8 * 8)
    assert "have its owner delete some" in refusal(kept, zipped(pets(6)))
    import_folder(laid(tmp_path / "Pets", pets(6)), 8, 3)


def test_a_visitors_pictures_have_an_end(kept: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(imported, "MOST_SECONDS", 0)
    assert "send fewer or smaller ones" in refusal(kept, zipped(pets()))
    import_folder(laid(tmp_path / "Pets", pets()), 8, 3)


def test_who_stops_leaves_nothing(kept: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_zip(zipped(pets()), "x", 8, 3, stop)
    assert stored(kept) == []
    assert reading._running == []


# --- hostile zips


def changed(data: bytes, name: str, offset: int, value: bytes) -> bytes:
    """A zip with other bytes at this offset of an entry of the table of contents (APPNOTE 4.3.12)."""
    at = data.rindex(name.encode()) - 46
    assert data[at : at + 4] == b"PK\1\2"
    return data[: at + offset] + value + data[at + offset + len(value) :]


def named(name: str) -> bytes:
    """A zip with a picture of this name, which zipfile would change."""
    plain = "x" * len(name.encode())
    return zipped(pets() | {plain: picture(1)}).replace(plain.encode(), name.encode())


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "upwards": (lambda: named("../cats/evil.png"), '"../cats/evil.png" is no plain name'),
    "upwards inside": (lambda: named("cats/../../evil.png"), "is no plain name"),
    "upwards, hidden": (lambda: named("../.evil/x"), "is no plain name"),
    "from the root": (lambda: named("/etc/evil.png"), '"/etc/evil.png" is no plain name'),
    "a drive": (lambda: named("C:/evil/x.png"), "is no plain name"),
    "backslashes": (lambda: named("cats\\..\\evil.png"), "is no plain name"),
    "a NUL": (lambda: named("cats/9.png\0.txt"), "is no plain name"),
    "nothing": (lambda: named("cats//9.png"), "is no plain name"),
    "not UTF-8": (lambda: changed(named("cats/abcdefgh.png"), "cats/abcdefgh.png", 51, b"\xff\xfe"), "UTF-8"),
    "said to be UTF-8": (
        lambda: changed(
            changed(named("cats/abcdefgh.png"), "cats/abcdefgh.png", 8, b"\0\x08"), "cats/abcdefgh.png", 51, b"\xff"
        ),
        "is no zip or is damaged",
    ),
    "encrypted": (lambda: changed(zipped(pets()), "dogs/3.png", 8, b"\1\0"), '"dogs/3.png" is encrypted'),
    "strongly encrypted": (lambda: changed(zipped(pets()), "dogs/3.png", 8, b"\x40\0"), '"dogs/3.png" is encrypted'),
    "a link": (
        lambda: changed(zipped(pets()), "dogs/3.png", 38, struct.pack("<I", (stat.S_IFLNK | 0o777) << 16)),
        '"dogs/3.png" is a link',
    ),
    "a device": (
        lambda: changed(zipped(pets()), "dogs/3.png", 38, struct.pack("<I", (stat.S_IFBLK | 0o777) << 16)),
        '"dogs/3.png" is no file',
    ),
    "bzip2": (lambda: zipped(pets(), compress_type=zipfile.ZIP_BZIP2), "is packed in an unusual way"),
    "LZMA": (lambda: zipped(pets(), compress_type=zipfile.ZIP_LZMA), "is packed in an unusual way"),
    "method 99": (lambda: changed(zipped(pets()), "dogs/3.png", 10, b"\x63\0"), "is packed in an unusual way"),
    "twice": (
        lambda: zipped(pets() | {"dogs/x.png": b""}).replace(b"dogs/x.png", b"dogs/3.png"),
        '"dogs/3.png" is there twice',
    ),
    "shared bytes": (lambda: changed(zipped(pets()), "dogs/3.png", 42, bytes(4)), "overlaps with another part"),
    "beyond the table": (
        lambda: changed(zipped(pets()), "dogs/4.png", 42, b"\xff\xff\0\0"),
        "overlaps with another part",
    ),
    "longer than it is": (
        lambda: changed(zipped(pets()), "dogs/3.png", 20, b"\xff\xff\0\0"),
        "overlaps with another part",
    ),
    "another checksum": (
        lambda: changed(zipped(pets()), "dogs/3.png", 16, b"1234"),
        '"dogs/3.png" is damaged or cut short',
    ),
    "shorter than it is": (lambda: changed(zipped(pets()), "dogs/3.png", 24, b"\x09\0\0\0"), '"dogs/3.png" is damaged'),
    "another name inside": (lambda: zipped(pets()).replace(b"dogs/3.png", b"dogs/9.png", 1), '"dogs/3.png" is damaged'),
    "no zip": (lambda: b"GIF89a", "is no zip or is damaged"),
    "nothing at all": (lambda: b"", "is no zip or is damaged"),
    "cut short": (lambda: zipped(pets())[:-100], "is no zip or is damaged"),
    "a nested zip": (lambda: zipped(pets() | {"cats/x.zip": zipped(pets())}), '"cats/x.zip" is not a picture'),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_zips_are_refused_with_the_reason(kind: str, kept: Path, tmp_path: Path) -> None:
    make, reason = HOSTILE[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's own, of two of one name
        data = make()
    assert reason in refusal(kept, data)
    assert {path.name for path in tmp_path.iterdir()} <= {"data"}


def test_names_in_utf8_without_the_flag_are_read(kept: Path) -> None:
    """As macOS packs them."""
    data = zipped({name.replace("cats", "kxxtzchen"): d for name, d in pets().items()})
    data = data.replace(b"kxxtzchen", "kätzchen".encode())
    assert import_zip(data, "x", 8, 3).classes == ("dogs", "kätzchen")


def test_one_large_file_is_refused_whatever_it_declares(kept: Path) -> None:
    large = zipped(pets() | {"cats/8.png": picture(8) + bytes(MOST_BYTES)})
    assert len(large) < 100_000
    assert '"cats/8.png" has 20.0 MB, more than 20 MB' in refusal(kept, large)
    # said to be small, it is read as far as that
    small = changed(large, "cats/8.png", 24, b"\x64\0\0\0")
    assert '"cats/8.png" is damaged' in refusal(kept, small)


def test_many_large_files_are_refused_before_they_are_read(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = pets() | {f"cats/{i}.bmp": bytes(19_000_000) for i in range(10, 14)}
    monkeypatch.setattr(zips, "MOST_UNPACKED", 70_000_000)
    monkeypatch.setattr(zips, "_read", lambda *_: pytest.fail("read"))
    assert "once it is unpacked" in refusal(kept, zipped(files))
    monkeypatch.setattr(zips, "MOST_ZIP", 1000)
    assert "more than 0.001" in refusal(kept, zipped(files))


def test_a_table_of_contents_that_is_too_long_is_not_read(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(zipped(pets()))
    end = data.rindex(b"PK\5\6")
    data[end + 12 : end + 16] = struct.pack("<I", zips.MOST_TABLE + 1)
    data[0:0] = bytes(zips.MOST_TABLE)
    monkeypatch.setattr(zipfile, "ZipInfo", lambda *_: pytest.fail("read"))
    assert "table of contents is far too long" in refusal(kept, bytes(data))
    # also where the table's length is said in the larger records of ZIP64 (APPNOTE 4.3.14)
    record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, zips.MOST_TABLE + 1, 0)
    locator = struct.pack("<IIQI", 0x07064B50, 0, zips.MOST_TABLE + 2000, 1)
    last = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, 46, 0, 0)
    assert "table of contents is far too long" in refusal(kept, bytes(zips.MOST_TABLE + 2000) + record + locator + last)


def test_too_many_pictures_are_refused(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_PICTURES == 20_000
    for module in (picture_files, zips):
        monkeypatch.setattr(module, "MOST_PICTURES", 9)
    assert "there are more than 9 pictures" in refusal(kept, zipped(pets()))
    assert "there are more than 9 pictures" in refusal(kept, laid(tmp_path / "Pets", pets()))


def test_damage_anywhere_is_one_sentence(kept: Path) -> None:
    data, chance = zipped(pets(2)), np.random.default_rng(5)
    for _ in range(150):
        broken = bytearray(data)
        for at in chance.integers(0, len(data), 3):
            broken[at] = chance.integers(0, 256)
        with suppress(DataError):  # and nothing else
            forget(import_zip(bytes(broken), "x", 8, 3).name)
    assert stored(kept) == []


# --- names from links, and sets that were tampered with


@pytest.mark.parametrize(
    "name",
    [
        "imported-",
        "imported-../secret",
        f"imported-{'0' * 64}",
        f"imported-{'0' * 64}\n",
        f"imported-{'A' * 64}",
        "/etc",
    ],
)
def test_no_other_name_finds_anything(name: str, kept: Path) -> None:
    kept.mkdir(parents=True)
    (kept.parent / "secret").mkdir()
    with pytest.raises(DataError):
        find(name)
    with pytest.raises(DataError):
        imported.find(name)


def test_a_link_in_place_of_a_set_is_not_followed(kept: Path, tmp_path: Path) -> None:
    source = take(pets())
    folder = kept / source.name.removeprefix("imported-")
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(DataError, match="There is no imported data set"):
        find(source.name)
    with pytest.raises(DataError):
        forget(source.name)


def learned(name: str) -> None:
    source = find(name)
    source.load(source.usual_size, 3, 0, None)


def edited(about: dict[str, object], **changes: object) -> bytes:
    return json.dumps(about | changes).encode()


TAMPERED: dict[str, Callable[[Path, dict[str, object]], object]] = {
    "no words": lambda folder, about: (folder / "dataset.json").unlink(),
    "other words": lambda folder, about: (folder / "dataset.json").write_bytes(b"\xff{"),
    "fewer words": lambda folder, about: (folder / "dataset.json").write_bytes(b"{}"),
    "one class": lambda folder, about: (folder / "dataset.json").write_bytes(edited(about, classes=["cats"])),
    "more images": lambda folder, about: (folder / "dataset.json").write_bytes(edited(about, training=9)),
    "another size": lambda folder, about: (folder / "dataset.json").write_bytes(edited(about, size=9)),
    "no images": lambda folder, about: (folder / "images.npy").unlink(),
    "images cut": lambda folder, about: os.truncate(folder / "images.npy", 500),
    "objects": lambda folder, about: np.save(folder / "labels.npy", np.array([{}] * 10, object), allow_pickle=True),
    "other labels": lambda folder, about: np.save(folder / "labels.npy", np.arange(10)),
    "labels of another kind": lambda folder, about: np.save(folder / "labels.npy", np.full(10, np.nan)),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_set_that_was_tampered_with_is_one_sentence(how: str, kept: Path, tmp_path: Path) -> None:
    source = import_folder(laid(tmp_path / "Pets", pets()), 8, 3)
    folder = kept / source.name.removeprefix("imported-")
    TAMPERED[how](folder, json.loads((folder / "dataset.json").read_text()))
    with pytest.raises(DataError, match="is damaged: delete it, and import the pictures again"):
        learned(source.name)
    listed()
    forget(source.name)
    assert stored(kept) == []
