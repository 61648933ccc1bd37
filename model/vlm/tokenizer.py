"""The tiny model's own byte-level BPE tokenizer, with Qwen's special tokens and chat template.

Numbers of up to three digits are one token each (Qwen spells them digit by digit): a box is then
a handful of tokens, each of them one coordinate.
"""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from model.interface.grammar import BOX_CLOSE, BOX_OPEN, THINK_CLOSE, THINK_OPEN, TURN_END

END = "<|endoftext|>"
TURN_START = "<|im_start|>"
VISION_OPEN, VISION_CLOSE, IMAGE, VIDEO = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"
SPECIAL = (END, TURN_START, TURN_END, "<|object_ref_start|>", "<|object_ref_end|>", BOX_OPEN, BOX_CLOSE,
           "<|quad_start|>", "<|quad_end|>", VISION_OPEN, VISION_CLOSE, "<|vision_pad|>", IMAGE, VIDEO,
           THINK_OPEN, THINK_CLOSE)  # fmt: skip
NEVER_SAMPLED = (END, TURN_START, VISION_OPEN, VISION_CLOSE, "<|vision_pad|>", IMAGE, VIDEO)
"""A sampled picture token would stand for a picture that isn't there."""

WORDS = Regex(
    r"'(?:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train(texts: Iterable[str], vocab: int) -> PreTrainedTokenizerFast:
    """Learn merges from texts. Numbers 0 to 255 are always single tokens, seen or not."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(WORDS, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    core.decoder = decoders.ByteLevel()
    numbers = [" ".join(str(n) for n in range(256))] * 50  # outnumber every other pair, so that all merge
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=list(SPECIAL),
        show_progress=False,
    )
    core.train_from_iterator([*numbers, *texts], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=TURN_END, pad_token=END, additional_special_tokens=list(SPECIAL)
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
