"""Addresses in object stores: which store, which bucket, which object; and globs over their names.

    s3://bucket/key    gs://bucket/key    az://container/key
    abfs[s]://container@account.dfs.core.windows.net/key     the account, else AZURE_STORAGE_ACCOUNT_NAME

A key is taken as it is written: nothing in it is percent-encoded, and ? and # are letters like others.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_ADDRESS: Final = re.compile(r"(s3|gs|az|abfss?)://([^/]*)(?:/(.*))?", re.IGNORECASE | re.DOTALL)
_ACCOUNT: Final = re.compile(r"([a-z0-9]{3,24})\.(?:dfs|blob)\.(?:core\.windows\.net|fabric\.microsoft\.com)")
"""A stranger's manifest must not choose where the account's key goes: other hosts are named in the environment."""
_BUCKET: Final = re.compile(r"\$?[A-Za-z0-9][A-Za-z0-9._-]{1,221}")
_WILD: Final = re.compile(r"[*?\[]")


class ObjectAddress(NamedTuple):
    """An object, or with an empty or unfinished key a place where objects lie. `scheme` is s3, gs or az."""

    scheme: str
    bucket: str
    key: str
    account: str | None = None
    """Of Azure storage, where the address names one."""
    root: str = ""
    """The address of the bucket, with a slash at its end: the address of an object is `root` and its key."""


def read_object_url(url: str) -> ObjectAddress:
    """The parts of an address. Raises ValueError, with words that fit behind the address, when no bucket is named."""
    found = _ADDRESS.fullmatch(url)
    if found is None:
        raise ValueError("is no address in an object store")
    scheme, bucket, key = found[1].lower(), found[2], found[3] or ""
    root = f"{found[1]}://{bucket}/"
    account = None
    if scheme.startswith("abfs"):
        scheme = "az"
        bucket, at, host = bucket.partition("@")
        found_account = _ACCOUNT.fullmatch(host)
        if at and not found_account:
            raise ValueError("names no Azure account; write abfss://container@account.dfs.core.windows.net/picture.jpg")
        account = found_account[1] if found_account else None
    if not _BUCKET.fullmatch(bucket):
        raise ValueError("names no bucket; write for example s3://bucket/folder/picture.jpg")
    return ObjectAddress(scheme, bucket, key, account, root)


def is_glob(key: str) -> bool:
    """Whether * ? or [ stand in it."""
    return _WILD.search(key) is not None


def fixed_folder(key: str) -> str:
    """The part of a glob before its first wildcard, up to a slash: below it lies all that it can match."""
    return key[: _WILD.search(key).start() if is_glob(key) else len(key)].rpartition("/")[0]  # type: ignore[union-attr] # is_glob is that it matches


def glob_pattern(key: str) -> re.Pattern[str]:
    """A glob as a pattern for whole keys: * and ? stay within a folder, **/ stands for any number of folders."""
    parts = ["(?:[^/]+/)*" if part == "**" else _part_pattern(part) + "/" for part in key.split("/")]
    return re.compile("".join(parts).removesuffix("/"), re.DOTALL)


def _part_pattern(part: str) -> str:
    pattern, at = "", 0
    while at < len(part):
        letter, at = part[at], at + 1
        end = part.find("]", at + 1) if letter == "[" else -1
        if end > 0:
            chosen = part[at:end].replace("\\", "\\\\").replace("[", "\\[")
            pattern += f"(?!/)[{'^' + chosen[1:] if chosen[0] in '!^' else chosen}]"
            at = end + 1
        else:
            pattern += {"*": "[^/]*", "?": "[^/]"}.get(letter) or re.escape(letter)
    return pattern
