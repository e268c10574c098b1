"""A model kept as GGUF, written once as transformers keeps models.

`python -m nbtransfer.models.gguf FILE FOLDER`, in a process of its own: the kernel loads no torch.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig


def convert(file: Path, folder: Path) -> None:
    """Write the model in `file` to `folder`, its weights as float32.

    They were rounded to a few bits when the file was made; what is written is what is left.
    """
    source = {"gguf_file": file.name, "local_files_only": True}
    model = AutoModelForCausalLM.from_pretrained(
        file.parent,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
        **source,
    )
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **source)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config  # nothing of it is quantised any more
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    """Convert what the command line names."""
    convert(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    main()
