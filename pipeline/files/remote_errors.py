"""What an error of a remote file system means: of the file, of the place, or what may pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import UserError

_REMEDIES = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; a public bucket is read with "
    "FSSPEC_S3_ANON=true",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS; a public bucket is read with FSSPEC_GS_TOKEN=anon",
    "https": "put a line for this server into ~/.netrc",
}
_MAY_PASS = frozenset([408, 425, 429, 500, 502, 503, 504])
_REFUSED = frozenset([
    "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed", "SignatureDoesNotMatch",
])  # fmt: skip
_LACKING = frozenset(["NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"])
_MISTAKES = frozenset(["ParamValidationError", "ProfileNotFound", "ValueError", "InvalidUrlClientError"])
_CUT_SHORT = frozenset(["ClientPayloadError", "IncompleteRead", "ResponseStreamingError"])


class Unreachable(UserError):  # noqa: N818
    """The place cannot be read, whatever the file: no network, no credentials, no such bucket, no package.

    Never skipped as a bad image is: it says nothing of the image, and would say the same of all others.
    """


class EndsBefore(OSError):  # noqa: N818
    """A part was asked for that lies behind the end of the file."""

    def __init__(self) -> None:
        super().__init__(0, "the file ends before")


def final_error(address: str, error: Exception) -> Exception | None:
    """What to raise for what a file system raised: `Unreachable`, an `OSError`, or a defect as it is.

    None for what may pass.
    """
    error = _behind(error)
    status, code = _status(error)
    if about := _about_the_place(address, error, status, code):
        return Unreachable(f"{address}: {about}")
    if status in _MAY_PASS:
        return None
    if status is not None:
        return _about_the_file(status, code)
    if isinstance(error, FileNotFoundError):
        return _about_the_file(404)
    if isinstance(error, PermissionError):
        return _about_the_file(403)
    passes = isinstance(error, (OSError, EOFError)) or type(error).__module__ != "builtins"
    return None if passes else error


def in_words(error: Exception) -> str:
    """An error that may have passed."""
    error = _behind(error)
    status, code = _status(error)
    if status is not None:
        return _answer(status, code)
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return "no answer in time"
    if type(error).__name__ in _CUT_SHORT:
        return "the answer is cut short"
    return " ".join(str(error).split()) or type(error).__name__


def _about_the_place(address: str, error: Exception, status: int | None, code: str) -> str:
    kinds = {type(cause).__name__ for cause in _causes(error)}
    scheme = address.partition("://")[0]
    found = [remedy for name, remedy in _REMEDIES.items() if name.startswith(scheme) or name + "a" == scheme]
    remedy = found[0] if found else f"look at the credentials that fsspec takes for {scheme}://"
    if kinds & _LACKING:
        return f"there are no credentials; {remedy}"
    if code in _REFUSED or status == 401:
        return f"the credentials are refused ({code or status}); {remedy}"
    if code == "NoSuchBucket":
        return "no such bucket; mend the address"
    return f"{in_words(error)}; mend the address" if kinds & _MISTAKES else ""


def _about_the_file(status: int, code: str = "") -> OSError:
    if status == 416:
        return EndsBefore()
    if status in (404, 410):
        return FileNotFoundError(0, "no such file")
    return PermissionError(0, "forbidden") if status == 403 else OSError(0, _answer(status, code))


def _answer(status: int, code: str) -> str:
    return f"the server answers {status}{'' if code in ('', str(status)) else f' {code}'}"


def _behind(error: Exception) -> Exception:
    """The connection's error where fsspec's HTTP calls a file missing that it could not even ask for."""
    cause = error.__cause__
    return cause if isinstance(error, FileNotFoundError) and isinstance(cause, OSError) else error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _status(error: Exception) -> tuple[int | None, str]:
    """HTTP's status and S3's code of an error, as the libraries have them."""
    for cause in _causes(error):
        response: Any = getattr(cause, "response", None)
        if isinstance(response, dict):  # botocore
            code = response.get("Error", {}).get("Code", "")
            return response.get("ResponseMetadata", {}).get("HTTPStatusCode"), code
        at = "code" if type(cause).__module__.startswith("gcsfs") else "status"
        for status in (getattr(cause, at, None), getattr(response, "status_code", None)):
            if str(status).isdigit():
                return int(str(status)), ""
    return None, ""
