"""What a run goes through, in tokens: counted from its questions, before anything is read or loaded.

Text is counted by characters, so that tokens are right within a fifth. Of sampled answers the mean is what it would be
if each were as long as it may be and pointed as its teacher did; the most is every budget used up.
"""

from dataclasses import dataclass
from typing import Any

from components.training.config import TrainingConfig
from components.training.rl_config import RlConfig
from components.training.sampler import KINDS, Kind, Mixture, check_weights
from model.imaging import shards
from model.interface.contract import Contract
from model.interface.errors import BadInput
from model.interface.question import Question
from model.learning.rewards import has_truth
from model.vlm.room import crop_tokens

CHARACTERS = 3.5
"""A token of medical English has about so many."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Answers that a worker decodes together, at most."""

    rows: int
    studies: int
    study: float
    """Tokens of a study's strip."""
    begun: float
    """Of a question as it is asked."""
    flat: bool
    """About images."""


@dataclass(frozen=True, slots=True)
class Load:
    told: str
    steps: int
    a_step: float
    """Tokens, over all workers."""
    trained: float
    """Of them, those that are predicted."""
    row: float
    """Tokens of a row, mean."""
    longest: float
    """Of any row, at most."""
    kept: float
    """Visual tokens that stay on a worker's device, from one batch to the next."""
    every: int
    """Steps between states."""
    batches: tuple[Batch, ...] = ()
    """The largest of each dimension; none where nothing is sampled."""


def load_of(contract: Contract, config: TrainingConfig) -> Load:
    """What the config's data is in tokens. config: of sft or of rl. Raises BadInput where there is nothing to ask,
    or a step of the mixture would take nothing."""
    asked: dict[str, list[Question]] = {}
    for question in shards.read_questions(config.data, "train"):
        asked.setdefault(question.study or question.id, []).append(question)
    load = _sampled(asked, contract, config) if isinstance(config, RlConfig) else _told(asked, contract, config)
    if not load.a_step:
        raise BadInput(
            "a step would be empty",
            where=f"{config.data}, split train: found {load.told}, wanted some of what a step asks for",
            next="build other data, or ask for what there is",
        )
    return load


def _told(asked: dict[str, list[Question]], contract: Contract, config: Any) -> Load:
    """sft: a row a study, its questions branches with their teacher's words and crops; as often as the mixture has it,
    between whose start and end the mean is taken."""
    kinds = [_kind(some[0]) for some in asked.values()]
    counts: dict[Kind, int] = {kind: kinds.count(kind) for kind in KINDS}
    mixtures: list[Mixture] = [config.mixture, config.mixture_end or config.mixture]
    check_weights(counts, *mixtures)
    found = [_taken(asked, contract, mixture) for mixture in mixtures]
    rows, tokens, said = (sum(one) / len(mixtures) for one in zip(*found, strict=True))
    held = sum(
        picture_tokens(some[0], contract) + sum(crops_tokens(q, contract) for q in some) for some in asked.values()
    )
    return Load(
        f"{len(asked):,} rows: {counts['images']:,} images, {counts['volumes']:,} volumes"
        f", {counts['text']:,} of text alone",
        max(1, round(len(asked) / config.studies)) * config.epochs,
        config.studies * tokens,
        config.studies * said,
        tokens / rows if rows else 0.0,
        max((_longest(some, contract, mixtures) for some in asked.values()), default=0.0),
        0 if config.gpu else held / config.fewest,  # whatever the mixture, see `keeping`
        config.save_every,
    )


def _taken(asked: dict[str, list[Question]], contract: Contract, mixture: Mixture) -> tuple[float, float, float]:
    """(rows, tokens, trained tokens) of a study whose turn it is, mean; less than a row where families are thinned."""
    most = max((_share(q, mixture) for some in asked.values() for q in some), default=1.0)
    weights = rows = tokens = said = 0.0
    for some in asked.values():
        weight, silent = getattr(mixture, _kind(some[0])), 1.0
        for question in some:
            chance = _share(question, mixture) / most if most else 1.0
            silent *= 1 - chance
            tokens += weight * chance * branch_tokens(question, contract)
            said += weight * chance * teacher_tokens(question)
        weights += weight
        rows += weight * (1 - silent)
        tokens += weight * (1 - silent) * picture_tokens(some[0], contract)
    weights = weights or 1.0
    return rows / weights, tokens / weights, said / weights


def _longest(some: list[Question], contract: Contract, mixtures: list[Mixture]) -> float:
    """Tokens of a study's row with all that is ever asked about it; 0 where it is never taken."""
    if not any(getattr(mixture, _kind(some[0])) for mixture in mixtures):
        return 0.0
    asked = [q for q in some if any(_share(q, mixture) for mixture in mixtures)] or some
    return picture_tokens(some[0], contract) + sum(branch_tokens(q, contract) for q in asked)


def _kind(question: Question) -> Kind:
    if not question.study:
        return "text"
    return "images" if question.dimension == 2 else "volumes"


def _share(question: Question, mixture: Mixture) -> float:
    return mixture.families.get(question.family, 1.0)


def _sampled(asked: dict[str, list[Question]], contract: Contract, config: RlConfig) -> Load:
    """rl: a row a group, the question and its answer in each of its branches."""
    sampling = config.sampling()
    contract = contract.model_copy(update={"crop_slices": sampling.slices(contract)})
    judged = [q for some in asked.values() for q in some if q.study and has_truth(q)]
    by = {d: [q for q in judged if q.dimension == d] for d in (2, 3)}
    wanted = {d: n if by[d] else 0 for d, n in ((2, config.images), (3, config.volumes))}
    a_step = longest = kept = 0.0
    batches = []
    for d, some in by.items():
        if not wanted[d]:
            continue
        study, begun = max(picture_tokens(q, contract) for q in some), max(map(prompt_tokens, some))
        mean = sum(crops_tokens(q, contract) for q in some) / len(some)
        most = config.max_boxes * (contract.crop_slices if d == 3 else 1) * crop_tokens(contract)
        a_step += wanted[d] * (study + config.group * (begun + config.max_tokens + mean))
        longest = max(longest, study + config.group * (begun + config.max_tokens + most))
        questions = -(-wanted[d] // config.fewest)
        kept += questions * (1 + config.resample) * (study + config.group * most)
        batches.append(_batch(questions, study, begun, config, flat=d == 2))
    return Load(
        f"{len(by[2]):,} questions about images, {len(by[3]):,} about volumes"
        f"; {config.images} + {config.volumes} a step, {config.group} answers each",
        config.steps,
        a_step,
        sum(wanted.values()) * config.group * config.max_tokens,
        a_step / max(1, sum(wanted.values())),
        longest,
        kept,
        config.save_every,
        tuple(batches),
    )


def _batch(questions: int, study: float, begun: float, config: RlConfig, *, flat: bool) -> Batch:
    """Groups lie one behind another, and a batch may begin and end inside one."""
    rows = min(config.rows, questions * config.group)
    groups = -(-rows // config.group) + bool(rows % config.group)
    return Batch(rows, min(questions, groups), study, begun, flat)


def branch_tokens(question: Question, contract: Contract) -> float:
    """Of a question with its teacher's words and crops."""
    return prompt_tokens(question) + teacher_tokens(question) + crops_tokens(question, contract)


def teacher_tokens(question: Question) -> float:
    """What is trained: the rationale, its boxes, the answer."""
    return 20 + sum(len(remark.text) / CHARACTERS + 18 * bool(remark.box) for remark in question.rationale)


def crops_tokens(question: Question, contract: Contract) -> float:
    """Of what is shown after the teacher's boxes; a slice of a crop is as large as it may be."""
    boxes = [remark.box for remark in question.rationale if remark.box and question.study]
    slices = [min(contract.crop_slices, max(1, round(box.size[2]))) if question.dimension == 3 else 1 for box in boxes]
    return sum(slices) * crop_tokens(contract)


def picture_tokens(question: Question, contract: Contract) -> float:
    """Of the study, at most, with the tags around each picture."""
    if not question.study:
        return 0
    if question.dimension == 2:
        return (contract.image_side // contract.factor) ** 2 + 2
    label = 4 * contract.slice_labels
    return contract.slices * ((contract.volume_side // contract.factor) ** 2 + 2 + label)


def prompt_tokens(question: Question) -> float:
    return (len(question.text) + sum(map(len, question.options))) / CHARACTERS + 10 + 4 * len(question.options)
