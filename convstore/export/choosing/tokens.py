"""How many tokens a row has, by a tokenizer that the user names: the extra `tokens`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from convstore.vocabulary.errors import InvalidInputError, MissingExtraError

CHARS_PER_TOKEN = 4
"""A rough average of English, for estimates; other languages need more tokens."""

TokenCounter = Callable[[Iterable[str]], int]


def token_counter(tokenizer: Path) -> TokenCounter:
    """A function that counts the tokens of texts, without any chat template.

    Args:
        tokenizer: A `tokenizer.json`, as Hugging Face models have it.

    Raises:
        MissingExtraError: tokenizers is not installed.
        InvalidInputError: The file cannot be read as a tokenizer.
    """
    try:
        module: Any = import_module("tokenizers")
    except ImportError:
        raise MissingExtraError("token counts", "tokens") from None
    try:
        loaded = module.Tokenizer.from_file(str(tokenizer))
    except Exception as error:
        # The package raises nothing more special than Exception for any bad file.
        raise InvalidInputError("tokenizer", "is no readable tokenizer.json") from error

    def count(texts: Iterable[str]) -> int:
        encoded = loaded.encode_batch_fast(list(texts), add_special_tokens=False)
        return sum(len(one) for one in encoded)

    return count
