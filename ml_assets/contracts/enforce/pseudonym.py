"""Pseudonyms of personal values: HMAC-SHA256 (RFC 2104) under a key that never leaves the process."""

import hashlib
import hmac
import os

import duckdb

from ml_assets.lake import sql

KEY_VARIABLE = "ML_ASSETS_PSEUDONYM_KEY"
SHORTEST_KEY = 16
_BLOCK = 64
_CONSTANT = b"the fingerprint of an ml_assets pseudonym key"


class PseudonymError(ValueError):
    """There is no usable key; the text says what to set."""


def key_from_environment(name: str = KEY_VARIABLE) -> bytes:
    """The key in the environment variable ``name``; PseudonymError if it is missing or too easily guessed."""
    value = os.environ.get(name, "")
    advice = (
        f"set {name} to a secret of at least {SHORTEST_KEY} characters, the same in every process and from now "
        "on, for example one made once with "
        "`python -c 'import secrets; print(secrets.token_hex(32))'` and kept where passwords are kept"
    )
    if not value:
        raise PseudonymError(f"the environment variable {name} holds no key for personal columns; {advice}")
    if value != value.strip():
        raise PseudonymError(f"the key in {name} begins or ends with a blank or a line break; remove it")
    if len(value) < SHORTEST_KEY:
        raise PseudonymError(f"the key in {name} has {len(value)} characters; {advice}")
    return os.fsencode(value)


def fingerprint(key: bytes) -> str:
    """Eight hex digits that tell one key from another and say nothing of the key itself."""
    return _name(key)[:8]


def _name(key: bytes) -> str:
    return hmac.new(key, _CONSTANT, hashlib.sha256).hexdigest()


def hand_over(con: duckdb.DuckDBPyConnection, key: bytes) -> str:
    """Give a connection what ``pseudonym`` needs of a key; returns the name under which it is kept there.

    A variable of the connection and no literal: texts of queries, which errors and logs quote, don't hold it.
    """
    padded = (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    kept = f"pseudonym_key_{_name(key)[:16]}"
    for part, mask in (("inner", 0x36), ("outer", 0x5C)):
        con.execute(f"SET VARIABLE {kept}_{part} = ?", [bytes(byte ^ mask for byte in padded)])
    return kept


def pseudonym(value: str, kept: str) -> str:
    """SQL: the HMAC-SHA256, as 64 hex digits, of the text expression ``value``; NULL of NULL.

    A connection without the key fails the query; NULL would lose the value.
    """
    message = sql.text("this connection has no key for personal columns; classify the rows again")
    inner, outer = (
        f"coalesce(getvariable('{kept}_{part}'), CAST(error({message}) AS BLOB))"
        for part in ("inner", "outer")
    )
    return f"sha256({outer} || unhex(sha256({inner} || encode({value}))))"
