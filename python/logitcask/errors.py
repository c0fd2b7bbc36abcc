"""What goes wrong, under the server's stable codes: callers branch on `code`, not on text."""

from __future__ import annotations


class LogitcaskError(Exception):
    """Any failure of the server, the wire or stored data.

    Attributes:
        code: stable name, the same as in the server's docs/errors.md, e.g. ``plan-not-found``.
        status: HTTP status that belongs to the code.
        detail: one lower-case sentence: what happened, with the values, and what to do.
        retryable: whether the same request may succeed later.
        expected, got: what would have been right, and what came instead.
    """

    def __init__(
        self,
        code: str,
        status: int,
        detail: str,
        retryable: bool = False,
        *,
        expected: object = None,
        got: object = None,
    ) -> None:
        super().__init__(code, status, detail, retryable)
        self.code = code
        self.status = status
        self.detail = detail
        self.retryable = retryable
        self.expected = expected
        self.got = got
        #: Least seconds to wait before another try, where the server names them.
        self.retry_after_s = 0.0

    def __str__(self) -> str:
        both = self.expected is not None or self.got is not None
        values = f" (expected {self.expected}, got {self.got})" if both else ""
        return f"{self.code}: {self.detail}{values}"


class TruncatedReply(LogitcaskError):
    """A reply ended before the bytes, rows or batches that it announced."""

    def __init__(self, detail: str, *, expected: object = None, got: object = None) -> None:
        super().__init__("reply-truncated", 502, detail, True, expected=expected, got=got)


def invalid_reply(detail: str, *, expected: object = None, got: object = None) -> LogitcaskError:
    """A reply that is whole but not what was asked for; asking again would not help."""
    return LogitcaskError("reply-invalid", 502, detail, expected=expected, got=got)
