"""Remakes tokenizer.json: awkward texts with the tokens of transformers' fast CLIPTokenizer, and the texts after ftfy's repairs.

    pip install transformers ftfy
    python make_tokenizer_fixture.py

"encode": [text, tokens with tinyA's vocabulary, tokens with tinyB's special tokens ("!" pads) or null where they are the same].
"repair": [text, ftfy.fix_text(text)].
"""
import json
import random
import unicodedata
from pathlib import Path

import ftfy
from transformers import CLIPTokenizerFast

here = Path(__file__).parent
models = here / "oracle" / "models"
tokenizers = [CLIPTokenizerFast.from_pretrained(models / name / "tokenizer") for name in ("tinyA", "tinyB")]
rng = random.Random(1)

# Only characters that every version of Unicode in use (the libraries' and the standard library's) knows alike.
RANGES = {
    "latin": (0x21, 0x7E), "latin1": (0xA0, 0x24F), "marks": (0x300, 0x36F), "greek": (0x370, 0x3FF), "cyrillic": (0x400, 0x4FF),
    "hebrew": (0x5D0, 0x5EA), "arabic": (0x620, 0x66F), "devanagari": (0x900, 0x97F), "thai": (0xE01, 0xE5B),
    "jamo": (0x1100, 0x1112), "vowels": (0x1161, 0x1175), "finals": (0x11A7, 0x11C2), "extended": (0x1E00, 0x1FFF),
    "punctuation": (0x2000, 0x206F), "letterlike": (0x2100, 0x218B), "symbols": (0x2190, 0x26FF), "kana": (0x3000, 0x30FF),
    "cjk": (0x4E00, 0x9FA5), "hangul": (0xAC00, 0xD7A3), "compatibility": (0xF900, 0xFA6D), "forms": (0xFB00, 0xFB4F),
    "wide": (0xFF01, 0xFFEE), "emoji": (0x1F300, 0x1F64F), "mathematical": (0x1D400, 0x1D7FF), "control": (0x01, 0x1F),
    "c1": (0x7F, 0x9F), "skin": (0x1F3FB, 0x1F3FF), "variation": (0xFE00, 0xFE0F), "tags": (0xE0020, 0xE007F),
}
WORDS = (
    "a cat tiger leopard lying on the grass watercolor painting of isn't it's we've I'LL they're 'SOS' 'tis don''t 3d 4K 1080p 24fps 1,000.50 "
    "Van_Gogh style #art @home e-mail http://example.org/?q=1&b=2 ... ?! ??!! -- ~ ^ ` | \\ / (a:1.5) [cat] {dog} <lora:x:0.8> <|startoftext|> "
    "<|endoftext|> <|STARTOFTEXT|> <|ENDOFTEXT|> </w> x</w> café cafe\u0301 naïve Å \u212b \u2126 İstanbul ẞ ΑΣ ǅ ﬁne ½ ² Ⅷ ٣ ③ 你好 世界 こんにちは "
    "안녕 \u1112\u1161\u11ab กำ नमस्ते שלום مرحبا Привет 👩‍👩‍👧 🏳️‍🌈 👍🏽 🇩🇪 ☃ ☃️ ℃ ﷺ \ufeff \u200b \u200d \u00ad \ufffd \u3000 \u2028 \x85 \x1c \x00 \x7f"
).split(" ")


def character():
    while True:
        low, high = RANGES[rng.choice(list(RANGES))]
        c = chr(rng.randint(low, high))
        if unicodedata.category(c) not in ("Cn", "Cs"):
            return c


def text():
    kind = rng.random()
    if kind < 0.35:
        return "".join(rng.choice(WORDS) + rng.choice([" ", " ", " ", "", "  ", "\t", "\n", "\u00a0"]) for _ in range(rng.randint(1, 12)))
    if kind < 0.75:
        return "".join(character() for _ in range(rng.randint(1, 24)))
    low, high = RANGES[rng.choice(list(RANGES))]
    run = [chr(rng.randint(low, high)) for _ in range(rng.randint(1, 16))]
    return "".join(c if unicodedata.category(c) not in ("Cn", "Cs") else " " for c in run) + rng.choice(WORDS)


encode = [
    "", " ", "\n\t", "!", "!!", "a!b", "<|endoftext|>", "<|endoftext|><|endoftext|>", "!<|endoftext|>!", "x<|startoftext|>y", "<|end", "<|endoftext|",
    "'", "''s", "'S'T'RE'VE'M'LL'D", "a" * 300, "ab" * 100, "1234567890", "supercalifragilisticexpialidocious", "e\u0301\u0323", "\u0301", "a\u0301\u0301",
    "\u1100\u1161\u11a8", "\u0344", "\u0958", "\U0001d15e", "\u1e9b\u0323", "q\u0307\u0323", "\uac00\u11a8",
]
while len(encode) < 1040:
    encode.append(text())

rows = []
for t in encode:
    a, b = (tokenizer(t)["input_ids"] for tokenizer in tokenizers)
    rows.append([t, a, b if b != a else None])

repair = [
    # HTML entities
    "black &amp; white", "&lt;b&gt; &quot;x&quot; &apos;y&apos; &nbsp;z", "caf&eacute; &#233; &#xE9; &#XE9; &hellip;", "&amp;amp;lt;", "&unknown; &; &#; &#x; & a;",
    "a < b &amp; c", "x &amp; y\na < b &amp; c\nd &amp; e", "&#59; &#0; &#1; &#146; &#x92; &#129; &#xD800; &#x110000; &#99999999999; &#xFFFE;", "&#12a; &#xg; &#٣;",
    # Curly quotes
    "“curly” ‘quotes’ „low‟ ‚low‛ ʼn ʻ `x´ «y»",
    # Ligatures and full-width forms
    "ﬁne ﬂow eﬀect oﬃce raﬄe ﬅ ﬆ", "ĲSSEL ĳs ŉ Ǳ ǲ ǳ Ǆ ǅ ǆ Ǉ ǈ ǉ Ǌ ǋ ǌ", "Ｆｕｌｌ　ｗｉｄｔｈ！ １２３ ～｟｠",
    "ｶﾀｶﾅ ｶﾞ ﾊﾟ ｡｢｣､･ｰ", "ﾡﾢￂￃￊￒￚ", "￠￡￢￣￤￥￦￨￩￪￫￬￭￮",
    # Control characters
    "a\x00b\x01c\x08d\x0be\x0ef\x1fg\x7fh", "\ufeffbom \ufff9a\ufffab\ufffb \ufffc \u206aq\u206f", "tab\there\nline\fform",
    # Left alone
    "zero\u200bwidth \u200d joiner \u200e mark \u202a embed \u00ad soft", "½ ² ™ … — – 你好 😀", "e\u0301 \u212b",
]
out = {"encode": rows, "repair": [[t, ftfy.fix_text(t)] for t in repair]}
(here / "tokenizer.json").write_text(json.dumps(out, ensure_ascii=True, separators=(",", ":")))
print(len(rows), "texts,", (here / "tokenizer.json").stat().st_size, "bytes")
for t, r in out["repair"]:
    print(ascii(t), "->", ascii(r))
