from streams.engine.versions import Versions


def test_an_older_version_is_no_news_an_equal_one_is() -> None:
    """What a batch wrote twice is the same; each key stands alone."""
    versions = Versions()

    assert versions.is_newest(b"a", 5)
    assert not versions.is_newest(b"a", 4)
    assert versions.is_newest(b"a", 5)
    assert versions.is_newest(b"b", 4)


def test_versions_are_remembered_for_so_many_keys_and_not_for_all() -> None:
    """The last ones always; those of long ago go."""
    versions = Versions(min_keys=2)
    for key in (b"a", b"b", b"c", b"d"):
        versions.is_newest(key, 9)
    assert not versions.is_newest(b"a", 8)
    for key in (b"e", b"f", b"g", b"h"):
        versions.is_newest(key, 9)

    assert not versions.is_newest(b"f", 8)
    assert versions.is_newest(b"a", 8)
