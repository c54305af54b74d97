from collections.abc import Mapping, Sequence
from typing import Any

class Op:
    def __init__(
        self,
        name: str,
        inputs: Sequence[tuple[str, Sequence[str], str]],
        outputs: Sequence[tuple[str, Sequence[str], str]],
        attributes: Sequence[str],
        optional: Sequence[str] = ...,
        like: Mapping[str, str] = ...,
        shape_by_library: bool = ...,
        algebras: Mapping[str, Sequence[str]] = ...,
        free_outputs: bool = ...,
    ) -> None: ...
    def call(
        self,
        inputs: tuple[Any, ...],
        attributes: tuple[Any, ...],
        out: Any,
        backend: str | None,
        threads: int,
        variant: str | None,
        mode: str | None,
    ) -> Any: ...
    def explain(
        self,
        inputs: tuple[Any, ...],
        attributes: tuple[Any, ...],
        backend: str | None,
        threads: int,
        variant: str | None,
        mode: str | None,
    ) -> str: ...
    def output_shape(self, inputs: tuple[Any, ...], attributes: tuple[Any, ...]) -> tuple[int, ...]: ...
    def workspace_size(
        self,
        inputs: tuple[Any, ...],
        attributes: tuple[Any, ...],
        backend: str | None,
        threads: int,
        variant: str | None,
        mode: str | None,
    ) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def attributes(self) -> list[str]: ...

class Direct:
    def __init__(self, op: Op, semiring: Any) -> None: ...
    def __call__(self, *args: Any, **keywords: Any) -> Any: ...

def empty(shape: Any, dtype: Any) -> Any: ...
def make_structure(indices: Any, n_cols: int) -> Any: ...
def make_ragged_structure(indices: Any, counts: Any, buckets: Any, n_cols: int) -> Any: ...
def info() -> str: ...
def counters() -> str: ...
def last_variant() -> str: ...
