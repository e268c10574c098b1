"""Writing answers to a file of the user's, part by part: whole at the end, or not there at all."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtransfer.errors import SpecError, quoted
from nbtransfer.runs.files import sync, sync_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import pyarrow as pa

_SUFFIXES = (".parquet", ".csv")


class AnswerFile:
    """A parquet or csv file that answers are put into, with the number of each row.

    It is written beside its place and renamed when the `with` block ends well, over a file that is
    there already; after an error or an interrupt nothing is left.

    Args:
        path: the file; its ending says how it is written.
        inputs: the files that are read meanwhile, which must not be written over.

    Raises:
        SpecError: if there can be no such file.
    """

    def __init__(self, path: str | os.PathLike[str], inputs: Sequence[Path] = ()) -> None:
        self.path = Path(path).expanduser()
        self.columns: tuple[str, ...] = ()
        self._staged = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        self._stream: Any = None
        self._writer: Any = None
        self._num_rows = 0
        self._check(inputs)

    def _check(self, inputs: Sequence[Path]) -> None:
        shown = f"output {quoted(str(self.path))}"
        if self.path.suffix.casefold() not in _SUFFIXES:
            raise SpecError(f"{shown} must end in {' or '.join(_SUFFIXES)}: that says the format.")
        if self.path.is_dir():
            raise SpecError(f"{shown} is a folder. Name a file in it.")
        if not self.path.parent.is_dir():
            raise SpecError(
                f"{shown}: there is no folder {quoted(str(self.path.parent))}. Make it."
            )
        if any(self.path.exists() and self.path.samefile(given) for given in inputs):
            raise SpecError(f"{shown} is the file that is asked about. Choose another name.")

    def __enter__(self) -> AnswerFile:
        with self._told():
            self._stream = self._staged.open("wb")
        return self

    def write(self, answers: pa.Table) -> None:
        """Add the answers to the next rows.

        Raises:
            SpecError: if the disk takes no more.
        """
        import numpy as np
        import pyarrow as pa

        numbers = np.arange(self._num_rows, self._num_rows + answers.num_rows)
        self._num_rows += answers.num_rows
        table = answers.add_column(0, "row", pa.array(numbers))
        if self.path.suffix.casefold() == ".csv":
            table = _flat(table)
        with self._told():
            if self._writer is None:
                self.columns = tuple(table.column_names)
                self._writer = self._open_writer(table.schema)
            self._writer.write_table(table)

    def _open_writer(self, schema: pa.Schema) -> Any:  # noqa: ANN401 -- of Arrow
        if self.path.suffix.casefold() == ".csv":
            from pyarrow import csv

            return csv.CSVWriter(self._stream, schema)
        from pyarrow import parquet

        return parquet.ParquetWriter(self._stream, schema, compression="zstd")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                with self._told():
                    self._keep()
        finally:
            for step in (self._close_writer, self._stream.close, self._staged.unlink):
                with contextlib.suppress(OSError):  # of what is given up, or is done already
                    step()

    def _keep(self) -> None:
        self._close_writer()
        self._stream.flush()
        sync(self._stream.fileno())
        self._stream.close()
        self._staged.replace(self.path)
        sync_folder(self.path.parent)

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    @contextlib.contextmanager
    def _told(self) -> Any:  # noqa: ANN401 -- an iterator
        try:
            yield
        except OSError as error:
            raise SpecError(
                f"output {quoted(str(self.path))} cannot be written ({error.strerror or error}); "
                "nothing was left of it. Choose another place."
            ) from None


def _flat(table: pa.Table) -> pa.Table:
    """Return the table with lists as JSON: csv holds none."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            texts = [json.dumps(v, ensure_ascii=False) for v in table.column(place).to_pylist()]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table
