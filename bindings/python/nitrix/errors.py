"""The exceptions and the warning that are nitrix's own.

The others are Python's: ValueError (a bad value or shape), TypeError (a wrong dtype, device or kind of object),
NotImplementedError (no compiled form serves the call), MemoryError, and RuntimeError for a defect of nitrix itself.
Each carries nitrix's sentence: which argument, what it was, what it must be.
"""


class NitrixBackendFallback(RuntimeWarning):
    """A slower path than the one asked for served a call.

    Emitted once per (function, shape signature, dtype, backend) and process. ``NITRIX_SILENCE_FALLBACK=1`` suppresses
    it, ``NITRIX_STRICT_BACKEND=1`` makes the call fail with NitrixFallbackError instead, and
    ``warnings.simplefilter("error", NitrixBackendFallback)`` raises it after the call.
    """

    op: str
    """"semiring_matmul"."""
    shapes: str
    """"(1000,333),(333,777)"."""
    dtype: str
    """"float32"."""
    wanted: str
    """What was asked for: "cuda", "avx512"."""
    got: str
    """What served instead: "avx2", "naive", or what was done ("copy of a")."""
    reason: str
    """One sentence."""

    def __init__(
        self,
        message: str,
        op: str = "",
        shapes: str = "",
        dtype: str = "",
        wanted: str = "",
        got: str = "",
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.op = op
        self.shapes = shapes
        self.dtype = dtype
        self.wanted = wanted
        self.got = got
        self.reason = reason


class NitrixFallbackError(RuntimeError):
    """``NITRIX_STRICT_BACKEND=1`` turned a fallback into an error."""


class NitrixVerifyError(RuntimeError):
    """``mode="verify"``: a variant differed from its reference. The message is a reproducer."""
