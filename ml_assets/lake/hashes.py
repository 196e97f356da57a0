"""Hashes as they stand on record: with the scheme they were made by, so that another one leaves older records verifiable."""

from ml_assets.lake.errors import LakeError

ROWS = "rows-1"
"""The scheme of ``content_hash``."""
FILES = "files-1"
"""The scheme of ``files_hash``."""


def on_record(digest: str, scheme: str) -> str:
    """A digest as it is put on record."""
    return f"{scheme}:{digest}"


def digest_of(record: str, scheme: str) -> str:
    """The digest in a record that is to be held against one made by ``scheme``.

    A record that names no scheme is of the first one, ``rows-1`` or ``files-1``. Raises LakeError for another.
    """
    named, _, digest = record.rpartition(":")
    if (named or f"{scheme.rpartition('-')[0]}-1") != scheme:
        raise LakeError(
            f"the hash {record} on record was made by the scheme {named or 'before schemes had names'}, and this release "
            f"makes {scheme}: verify it with the release that wrote it"
        )
    return digest
