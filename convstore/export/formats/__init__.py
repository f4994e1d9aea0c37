"""The data set formats, by name. Pure: rows in, JSON objects out."""

from __future__ import annotations

from collections.abc import Sequence

from convstore.export.formats import huggingface, openai, toolkits, whole
from convstore.export.formats.base import Format
from convstore.vocabulary.errors import InvalidInputError

FORMATS: dict[str, Format] = {
    fmt.name: fmt
    for fmt in (
        huggingface.MESSAGES,
        huggingface.PROMPT_COMPLETION,
        huggingface.PREFERENCE,
        huggingface.REWARD,
        huggingface.KTO,
        huggingface.PROMPT,
        huggingface.STEPWISE,
        openai.OPENAI_SFT,
        openai.OPENAI_DPO,
        toolkits.SHAREGPT,
        toolkits.SHAREGPT_DPO,
        toolkits.SHAREGPT_KTO,
        toolkits.AXOLOTL_DPO,
        whole.OASST,
        whole.RLHF_JSON,
        whole.CONVSTORE,
    )
}


def pick_formats(names: Sequence[str]) -> list[Format]:
    """The formats of these names, in the order asked for, each once.

    Raises:
        InvalidInputError: No format has this name, or none was named.
    """
    if not names:
        raise InvalidInputError("format", "name at least one")
    for name in names:
        if name not in FORMATS:
            known = ", ".join(FORMATS)
            raise InvalidInputError(
                "format", f"{name!a} is not known; there are {known}"
            )
    return [FORMATS[name] for name in dict.fromkeys(names)]
