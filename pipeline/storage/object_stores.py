"""One client for each bucket, opened when it is first needed. Retries are the caller's: here every request is one.

Configuration comes from the environment, as obstore reads it: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL and the like, GOOGLE_..., AZURE_...
(https://developmentseed.org/obstore/latest/api/store/aws/, version 0.12). Beyond that, for S3:

- AWS_PROFILE, or a file of shared credentials: boto3 finds the credentials, single sign-on included, where it is
  installed.
- AWS_ALLOW_HTTP=true (GOOGLE_..., AZURE_...) allows an endpoint without TLS.
- No credentials anywhere: on a machine that has a cloud's metadata service its role is used, elsewhere requests are not
  signed, which is right for a public bucket.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.core.errors import ManifestError
from pipeline.storage.object_names import ObjectAddress

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore

CONNECT_S: Final = 10
QUIET_S: Final = 30
"""A server that sends nothing for so long is not waited for."""
WHOLE_S: Final = 900
"""For one request from beginning to end: only a last resort, since waiting for memory counts, too."""

_ENVIRONMENT: Final = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}
_ENDPOINTS: Final = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_OWN_CREDENTIALS: Final = (
    *("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
)
_METADATA: Final = ("169.254.169.254", 80)
_METADATA_S: Final = 1.0

_stores: dict[tuple[str, str, str | None], ObjectStore] = {}
_lock = threading.Lock()


def open_store(address: ObjectAddress) -> ObjectStore | None:
    """The client for the address's bucket if it is open by now. Never blocks."""
    return _stores.get(_name(address))


def store_of(address: ObjectAddress) -> ObjectStore:
    """The client for the address's bucket. Blocking: finding credentials may take seconds. Raises ManifestError."""
    name = _name(address)
    with _lock:
        if name not in _stores:
            _stores[name] = _open(address)
        return _stores[name]


def _name(address: ObjectAddress) -> tuple[str, str, str | None]:
    return address.scheme, address.bucket, address.account


def _open(address: ObjectAddress) -> ObjectStore:
    from obstore.store import AzureStore, GCSStore, S3Store  # 15 MB that most runs do not need

    for variable in _ENDPOINTS[address.scheme]:
        value = os.environ.get(variable)
        if value and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
            raise ManifestError(f"{variable} is no address such as https://s3.example.org:9000.")
    options: ClientConfig = {
        "allow_http": _is_set(f"{_ENVIRONMENT[address.scheme]}_ALLOW_HTTP"),
        "connect_timeout": f"{CONNECT_S}s",
        "read_timeout": f"{QUIET_S}s",
        "timeout": f"{WHOLE_S}s",
    }
    both: dict[str, Any] = {"client_options": options, "retry_config": {"max_retries": 0}}
    try:
        if address.scheme == "gs":
            return GCSStore(address.bucket, **both)
        if address.scheme == "az":
            if address.account:
                both["account_name"] = address.account
            return AzureStore(address.bucket, **both)
        return S3Store(address.bucket, **both, **_credentials())
    except (ManifestError, ImportError):
        raise
    except Exception as error:  # noqa: BLE001 - obstore's errors have no closed set; the text may quote a setting
        names = ", ".join(sorted(name for name in os.environ if name.startswith(_ENVIRONMENT[address.scheme] + "_")))
        raise ManifestError(
            f"Cannot open {address.root}: {type(error).__name__}. Look at the environment: {names or 'nothing is set'}."
        ) from None


def _credentials() -> dict[str, Any]:
    """What obstore does not find by itself."""
    if _is_set("AWS_SKIP_SIGNATURE") or any(os.environ.get(name) for name in _OWN_CREDENTIALS):
        return {}
    profile = os.environ.get("AWS_PROFILE")
    if profile or _shared_file().exists():
        provider = _from_boto3(profile)
        if provider is not None:
            return {"credential_provider": provider}
    return {} if _has_metadata() else {"skip_signature": True}


def _from_boto3(profile: str | None) -> object | None:
    try:
        import botocore.exceptions
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        if profile is None:
            return None
        raise ManifestError(
            f"AWS_PROFILE is {profile!r}: reading profiles needs boto3. Run pip install boto3, or put the credentials "
            'into the environment: eval "$(aws configure export-credentials --format env)".'
        ) from None
    try:
        return Boto3CredentialProvider()
    except (ValueError, botocore.exceptions.BotoCoreError) as error:
        if profile is None:
            return None
        raise ManifestError(
            f"AWS_PROFILE is {profile!r}, but it gives no credentials ({type(error).__name__}). Look at aws configure "
            f"list-profiles; for single sign-on run aws sso login --profile {profile}."
        ) from None


def _shared_file() -> Path:
    return Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()


def _has_metadata() -> bool:
    """Whether a cloud's metadata service answers here: asking it for a role where there is none takes many seconds."""
    if _is_set("AWS_EC2_METADATA_DISABLED"):
        return False
    try:
        socket.create_connection(_METADATA, _METADATA_S).close()
    except OSError:
        return False
    return True


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() in {"1", "true", "yes", "on"}
