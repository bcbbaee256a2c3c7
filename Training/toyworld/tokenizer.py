"""A byte-pair vocabulary in CLIP's format in which every word of the world is one token."""

import collections
import json
import pathlib

from .captions import vocabulary

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77
"""Tokens in a padded prompt."""


class Words:
    """Token ids of captions. The same ids as CLIPTokenizer's for text made of the vocabulary's words, but faster."""

    def __init__(self):
        self.tokens = {token: index for index, token in enumerate(all_tokens())}
        self.start, self.end = self.tokens[START], self.tokens[END]

    def __len__(self):
        return len(self.tokens)

    def word(self, word):
        """The id of one word of the vocabulary."""
        return self.tokens[word + "</w>"]

    def ids(self, text):
        """The ids of a text, padded with the end token."""
        ids = [self.start, *(self.word(word) for word in text.split())]
        return ids + [self.end] * (LENGTH - len(ids))


def all_tokens():
    """The vocabulary in the order of its ids."""
    symbols = byte_symbols()
    return symbols + [s + "</w>" for s in symbols] + [a + b for a, b in learn_merges(vocabulary())] + [START, END]


def byte_symbols():
    """The printable character that stands for each byte, in the order of CLIP's vocabulary."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def learn_merges(words):
    """Merge the commonest neighbours until each word is one symbol."""
    pieces = {word: tuple(word[:-1]) + (word[-1] + "</w>",) for word in words}
    merges = []
    while any(len(parts) > 1 for parts in pieces.values()):
        pairs = collections.Counter(pair for parts in pieces.values() for pair in zip(parts, parts[1:]))
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = {word: _merged(parts, best) for word, parts in pieces.items()}
    return merges


def write(folder):
    """Write the tokenizer's files to a folder."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    config = {"model_max_length": LENGTH, "tokenizer_class": "CLIPTokenizer", "do_lower_case": True} | special
    ids = {token: index for index, token in enumerate(all_tokens())}
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False))
    merges = "".join(f"{a} {b}\n" for a, b in learn_merges(vocabulary()))
    (folder / "merges.txt").write_text("#version: 0.2\n" + merges)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "special_tokens_map.json").write_text(json.dumps(special))


def _merged(parts, pair):
    out, index = [], 0
    while index < len(parts):
        if parts[index:index + 2] == pair:
            out.append(parts[index] + parts[index + 1])
            index += 2
        else:
            out.append(parts[index])
            index += 1
    return tuple(out)
