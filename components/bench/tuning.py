"""What a sample costs to fine-tune on: our rows against a plain transformers `Trainer`, on the demo's own mix.

    ours    a study is a row, its questions branches; pictures are encoded once, for all epochs; the head runs where a
            token is trained. Laying out, cropping and encoding are part of the time.
    peer    a question is a row, padded to the longest of its batch; the tower runs in every step and the head on every
            token. Tokens and crops are ready before the time begins, patches are made as the batches are.

Both take the same samples a step, the token mean over the step, AdamW and clipping, from the same weights, for as many
epochs as the stage runs. Compared is the gradient of the first step.
"""

import tempfile
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from components.bench.measure import Comparison
from components.training.examples import Case, Example, example, in_model_space
from components.training.sft import SftConfig, train_step
from model.imaging import shards
from model.imaging.crop import crop
from model.imaging.prepare import prepare
from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.interface.question import Question
from model.learning.packing import Row
from model.vlm.backbone import freeze_tower
from model.vlm.checkpoint import Checkpoint
from model.vlm.tower import patchify

DATA = Path("data")
SAMPLES, BATCH = 80, 8
"""A step, and of the peer at once."""
EPOCHS = SftConfig.model_fields["epochs"].default
PEER = (
    "transformers' Trainer on one thread: a padded row a question, {order} batches of 8, the tower in every step and "
    "the head on every token"
)


def sft_samples(checkpoint: Checkpoint) -> Comparison:
    """Batches as a Trainer makes them by default: rows of all lengths together."""
    return _compared(checkpoint, "random")


def sft_samples_by_length(checkpoint: Checkpoint) -> Comparison:
    """Batches of like lengths, which wastes the peer less padding."""
    return _compared(checkpoint, "length-sorted")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A question with everything it shows, as a row of its own."""

    ids: Tensor
    is_picture: Tensor
    labels: Tensor
    """-100 where nothing is trained."""
    pictures: list[np.ndarray]


def studies(checkpoint: Checkpoint, samples: int = SAMPLES) -> list[Case]:
    """Random studies of the demo's training split, until they have so many questions. Raises BadInput without data."""
    if not (DATA / "manifest.json").is_file():
        raise BadInput(
            "there is no data to fine-tune on",
            where=f"{DATA}: found none, wanted sealed shards",
            next="dvc repro data, then this again",
        )
    asked: dict[str, list[Question]] = {}
    for question in shards.read_questions(DATA, "train"):
        asked.setdefault(question.study, []).append(question)
    chosen: dict[str, list[Question]] = {}
    left = samples
    for name in np.random.default_rng(0).permutation(sorted(asked)):
        chosen[name] = asked[name][:left]
        left -= len(chosen[name])
        if not left:
            break  # a smaller data set is taken whole
    return [
        Case(prepare(study.volume, checkpoint.contract), chosen[study.id])
        for study in shards.read_studies(DATA, "train")
        if study.id in chosen
    ]


def rows_of(cases: Sequence[Case], checkpoint: Checkpoint) -> list[Row]:
    """Laid out and encoded: a row a study."""
    laid = [example(case, checkpoint) for case in cases]
    return [one.row(range(len(one.branches))) for one in laid]


def fine_tune(checkpoint: Checkpoint, rows: list[Row], epochs: int = EPOCHS) -> Tensor:
    """A step an epoch on all rows together; the first step's gradient, float[trained parameters]."""
    trained = [p for p in checkpoint.vlm.parameters() if p.requires_grad]
    optimiser, first = _optimiser(trained)
    config = SftConfig(workers=1)
    for _ in range(epochs):
        train_step(checkpoint, rows, trained, optimiser, config, checkpoint.vocabulary)
    return first[0]


def trainer(checkpoint: Checkpoint, samples: list[Sample]) -> Tensor:
    """The same, by transformers' Trainer."""
    from transformers import Trainer, TrainingArguments

    optimiser, first = _optimiser([p for p in checkpoint.vlm.parameters() if p.requires_grad])
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder,
            per_device_train_batch_size=BATCH,
            gradient_accumulation_steps=-(-len(samples) // BATCH),
            num_train_epochs=EPOCHS,
            max_grad_norm=1.0,
            lr_scheduler_type="constant",
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            use_cpu=True,
            disable_tqdm=True,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
        )
        Trainer(
            checkpoint.vlm,
            settings,
            partial(collated, contract=checkpoint.contract),
            samples,  # pyright: ignore[reportArgumentType]  # a list is a dataset
            compute_loss_func=partial(_token_mean, banned=torch.tensor(checkpoint.vocabulary.never_sampled)),
            optimizers=(optimiser, None),
        ).train()
    return first[0]


def collated(samples: Sequence[Sample], contract: Contract) -> dict[str, Tensor]:
    """A batch as Qwen2.5-VL takes it, padded on the right."""
    shown = [picture for sample in samples for picture in sample.pictures]
    sides = [(p.shape[0] // contract.patch, p.shape[1] // contract.patch) for p in shown]
    ids = pad_sequence([sample.ids for sample in samples], batch_first=True)
    real = pad_sequence([torch.ones_like(sample.ids) for sample in samples], batch_first=True)
    return {
        "input_ids": ids,
        "attention_mask": real,
        "labels": pad_sequence([sample.labels for sample in samples], batch_first=True, padding_value=-100),
        "mm_token_type_ids": pad_sequence([sample.is_picture.int() for sample in samples], batch_first=True),
        "pixel_values": torch.cat([patchify(picture[None], contract)[0] for picture in shown]),
        "image_grid_thw": torch.tensor([[1, rows, columns] for rows, columns in sides]),
    }


def sample_of(case: Case, laid: Example, k: int, contract: Contract) -> Sample:
    """The k-th question of a study, by itself."""
    shared, branch = laid.shared, laid.branches[k]
    remarks = [in_model_space(remark, case.prepared) for remark in case.questions[k].rationale]
    crops = [p for remark in remarks if remark.box for p in crop(case.prepared, remark.box, contract)]
    ids = torch.tensor(shared.ids + branch.ids)
    trained = torch.tensor(shared.trained + branch.trained)
    return Sample(
        ids,
        torch.tensor(shared.is_picture + branch.is_picture),
        ids.masked_fill(~trained, -100),
        [*case.prepared.slices, *crops],
    )


def _compared(checkpoint: Checkpoint, order: str) -> Comparison:
    cases, contract = studies(checkpoint), checkpoint.contract
    laid = [example(case, checkpoint) for case in cases]
    samples = [
        sample_of(case, one, k, contract)
        for case, one in zip(cases, laid, strict=True)
        for k in range(len(one.branches))
    ]
    if order == "random":
        samples = [samples[i] for i in np.random.default_rng(1).permutation(len(samples))]
    else:
        samples.sort(key=lambda sample: len(sample.ids))

    def ours() -> Tensor:
        mine = fresh(checkpoint)
        return fine_tune(mine, rows_of(cases, mine))

    return Comparison(
        ours=ours,
        peer=lambda: trainer(fresh(checkpoint), samples),
        peer_is=PEER.format(order=order),
        n=len(samples) * EPOCHS,
        tolerance=1e-5,
        once=True,
    )


def fresh(checkpoint: Checkpoint) -> Checkpoint:
    """The same weights, to be trained."""
    vlm = deepcopy(checkpoint.vlm)
    freeze_tower(vlm)
    return replace(checkpoint, vlm=vlm.train())


def _optimiser(trained: Sequence[torch.nn.Parameter]) -> tuple[torch.optim.Optimizer, list[Tensor]]:
    """AdamW, and a list that will hold the gradient of its first step."""
    optimiser = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.01, betas=(0.9, 0.98))
    first: list[Tensor] = []

    def keep(*_: Any) -> None:
        if not first:
            first.append(torch.cat([p.grad.flatten() for p in trained if p.grad is not None]))

    optimiser.register_step_pre_hook(keep)
    return optimiser, first


def _token_mean(outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int, *, banned: Tensor) -> Tensor:
    """What `Trainer` offers for a token mean over all micro-batches; what may never be sampled has no probability."""
    scores = outputs.logits[:, :-1].float().index_fill(-1, banned, float("-inf"))
    return cross_entropy(scores.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum") / num_items_in_batch
