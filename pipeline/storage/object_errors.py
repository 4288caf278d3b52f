"""What an error of an object store means: a failure kind, and words of our own.

obstore's texts are pages long and differ from call to call (durations, request ids); of them only the status, the
store's error code and the region are taken. Format of the texts: obstore 0.12, read 2026-11-25; codes of S3:
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
"""

from __future__ import annotations

import re
from typing import Final

from pipeline.core.errors import ItemError, ManifestError
from pipeline.storage.errand import PassingError
from pipeline.storage.object_names import ObjectAddress
from pipeline.storage.urls import named

_STATUS: Final = re.compile(r"non-2xx status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([A-Za-z0-9.]{1,64})</Code>")
_REGION: Final = re.compile(r"<Region>([a-z0-9-]{1,32})</Region>")
_KIND: Final = re.compile(r"^ *kind: (Timeout|Connect),$", re.MULTILINE)

_NO_BUCKET: Final = {"NoSuchBucket", "ContainerNotFound"}
_ELSEWHERE: Final = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_CREDENTIALS: Final = {
    "InvalidAccessKeyId": "the access key is not known there",
    "SignatureDoesNotMatch": "the secret key does not fit the access key",
    "ExpiredToken": "the credentials have expired",
    "InvalidToken": "the session token is not valid there",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
}
_SKIP: Final = {"s3": "AWS_SKIP_SIGNATURE", "gs": "GOOGLE_SKIP_SIGNATURE", "az": "AZURE_SKIP_SIGNATURE"}
_HTTP: Final = {"s3": "AWS_ALLOW_HTTP", "gs": "GOOGLE_ALLOW_HTTP", "az": "AZURE_ALLOW_HTTP"}
_PASSING: Final = {408, 429}


def failure(error: Exception, address: ObjectAddress) -> ItemError:
    """The failure for what a store raised; a PassingError if another attempt makes sense."""
    text = str(error)
    shown = named(address.root + address.key)
    status = _number(text)
    code = _found(_CODE, text)
    if isinstance(error, ValueError) or type(error).__name__ == "InvalidPathError":
        return ItemError("not_found", f"{shown} cannot be read: a part of its name is empty, . or ..")
    if code in _NO_BUCKET:
        return ItemError("not_found", f"there is no bucket {address.root} in this store", status)
    if isinstance(error, FileNotFoundError):
        return ItemError("not_found", f"there is nothing at {shown}", status)
    if code in _ELSEWHERE or "incorrectly configured region" in text:
        region = _found(_REGION, text)
        return ItemError(
            "fetch_failed", f"{address.root} lies in another region; set AWS_REGION{f'={region}' if region else ''}"
        )
    if type(error).__name__ == "PreconditionError":
        return ItemError("fetch_failed", f"{shown} was changed while it was being read")
    if status in {401, 403} or code in _CREDENTIALS:
        why = _CREDENTIALS.get(code or "", f"these credentials, or none, do not suffice ({code or status})")
        return ItemError("forbidden", f"no permission for {shown}: {why}", status)
    if status is not None:
        kind = PassingError if status >= 500 or status in _PASSING else ItemError
        return kind(
            "fetch_failed", f"{address.root} answers {status}{f' ({code})' if code else ''} for {shown}", status
        )
    return _unanswered(text, address, shown)


def manifest_error(error: ItemError) -> ManifestError:
    """The same for a manifest that lies in an object store, with what to do about it."""
    advice = {
        "forbidden": " Look at the credentials in the environment (README, Object stores).",
        "not_found": " Look at the name, and at the endpoint in the environment.",
    }
    return ManifestError(f"manifest.path: {error.message}.{advice.get(error.kind, '')}")


def _unanswered(text: str, address: ObjectAddress, shown: str) -> ItemError:
    kind = _found(_KIND, text)
    if "BadScheme" in text:
        return ItemError("fetch_failed", f"an endpoint without TLS is refused unless {_HTTP[address.scheme]} is true")
    if "AccessKey" in text or "169.254.169.254" in text or "redential" in text or "metadata" in text:
        return ItemError(
            "forbidden",
            f"no credentials were found for {address.root}; for a public bucket set {_SKIP[address.scheme]}=true",
        )
    if kind == "Timeout":
        return PassingError("fetch_timeout", f"no answer in time for {shown}")
    if kind == "Connect":
        return PassingError("fetch_failed", f"no connection to the store of {address.root}")
    return PassingError("fetch_failed", f"the connection broke, or what came is not whole: {shown}")


def _number(text: str) -> int | None:
    status = _found(_STATUS, text)
    return int(status) if status else None


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1] if found else None
