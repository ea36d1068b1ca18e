from streams.engine.versions import Versions


def test_equal_versions_pass_and_lower_ones_do_not() -> None:
    """A batch may write a key twice. Keys are independent."""
    versions = Versions()

    assert versions.is_newest(b"a", 5)
    assert not versions.is_newest(b"a", 4)
    assert versions.is_newest(b"a", 5)
    assert versions.is_newest(b"b", 4)


def test_the_number_of_remembered_versions_is_bounded() -> None:
    """The most recent ones are kept."""
    versions = Versions(min_keys=2)
    for key in (b"a", b"b", b"c", b"d"):
        versions.is_newest(key, 9)
    assert not versions.is_newest(b"a", 8)
    for key in (b"e", b"f", b"g", b"h"):
        versions.is_newest(key, 9)

    assert not versions.is_newest(b"f", 8)
    assert versions.is_newest(b"a", 8)
