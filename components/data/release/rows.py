"""The rows of UniReason-Med-Data, the parquet that the paper's authors released: what stands in them, read strictly.

    sft/*.parquet      messages [{role, content}], image_ids
    rl/*.parquet       data_source, agent_name, prompt [{role, content}], image_ids, ability, reward_model, extra_info
    images/*.parquet   image_id, path, bytes

`<image>` stands where a picture is shown, in the user's turn and after each box in the assistant's. image_ids may be
null: most rows of volumes are text alone. reward_model and extra_info are structs or JSON in a string; we write the
string, so that one schema holds from the first row on. A picture is found by its id, never by its path, because two
paths may end in one name. Columns beyond these are `facts`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.data.vqa.tables import as_published, parquet_rows

PLACE = "<image>"
AGENT = "urm_single_assistant"
ROLES = ("system", "user", "assistant")
FACTS = ("id", "study", "subject", "split", "family", "contrast", "licence", "provenance")
"""Of a question, so that a row can be walked back to where it comes from."""
TALK = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
IDS = pa.list_(pa.string())
SFT = pa.schema([("messages", TALK), ("image_ids", IDS), *((name, pa.string()) for name in FACTS)])
RL = pa.schema(
    [("data_source", pa.string()), ("agent_name", pa.string()), ("prompt", TALK), ("image_ids", IDS)]
    + [(name, pa.string()) for name in ("ability", "reward_model", "extra_info")]
)
IMAGES = pa.schema([("image_id", pa.string()), ("path", pa.string()), ("bytes", pa.binary())])


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A row of sft: what is asked, and what the teacher says."""

    name: str
    """File and row, for messages."""
    messages: tuple[Message, ...]
    image_ids: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """A row of rl: what is asked, and what is right."""

    name: str
    prompt: tuple[Message, ...]
    ground_truth: str
    image_ids: tuple[str, ...] = ()
    data_source: str = ""
    agent_name: str = AGENT
    ability: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What extra_info holds."""


def conversations(root: Path) -> Iterator[Conversation]:
    """Every row of sft, in the order of its files; raises BadInput."""
    for name in _files(root, "sft"):
        for k, row in parquet_rows(root, name, _present(root, name, ("messages", "image_ids"), FACTS)):
            facts = {key: row[key] for key in FACTS if row.get(key) is not None}
            yield Conversation(f"{name}, row {k}", _talk(row, "messages", name, k), _ids(row, name, k), facts)


def tasks(root: Path) -> Iterator[Task]:
    """Every row of rl; raises BadInput. A row without agent_name has the default one."""
    wanted, may_lack = ("prompt", "reward_model"), ("image_ids", "ability", "extra_info", "agent_name")
    for name in _files(root, "rl"):
        columns = _present(root, name, wanted, (*may_lack, "data_source", "source_dataset"))
        for k, row in parquet_rows(root, name, columns):
            truth = _object(row, "reward_model", name, k).get("ground_truth")
            if not isinstance(truth, str | int) or truth == "":
                raise as_published(name, f"row {k}, reward_model", "no ground_truth", "an answer")
            yield Task(
                name=f"{name}, row {k}",
                prompt=_talk(row, "prompt", name, k),
                ground_truth=str(truth),
                image_ids=_ids(row, name, k),
                data_source=row.get("data_source") or row.get("source_dataset") or "",
                agent_name=row.get("agent_name") or AGENT,
                ability=row.get("ability") or "",
                facts=_object(row, "extra_info", name, k) if "extra_info" in row else {},
            )


class Pictures:
    """The pictures of a release by their ids; a row group is in memory at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.places: dict[str, tuple[str, int, int]] = {}
        """Id -> file, row group, row of it."""
        self.held: tuple[tuple[str, int], list[bytes]] | None = None
        for name in _files(root, "images"):
            _present(root, name, ("image_id", "bytes"))
            with pq.ParquetFile(root / name) as file:
                for group in range(file.num_row_groups):
                    ids = file.read_row_group(group, columns=["image_id"])["image_id"].to_pylist()
                    for row, one in enumerate(ids):
                        self._place(one, (name, group, row))

    def __getitem__(self, image_id: str) -> bytes:
        """Raises BadInput for an id that isn't there."""
        if image_id not in self.places:
            raise as_published("images", "image_id", f"no {image_id[:40]!r}", "every id that a row names")
        return self._read(self.places[image_id])

    def __contains__(self, image_id: str) -> bool:
        return image_id in self.places

    def _place(self, image_id: Any, place: tuple[str, int, int]) -> None:
        if not isinstance(image_id, str) or not image_id:
            raise as_published(place[0], f"row group {place[1]}, image_id", "none", "an id")
        first = self.places.setdefault(image_id, place)
        if first != place and self._read(first) != self._read(place):
            raise as_published(place[0], "image_id", f"{image_id[:40]!r} of two pictures", "one picture an id")

    def _read(self, place: tuple[str, int, int]) -> bytes:
        name, group, row = place
        if self.held is None or self.held[0] != (name, group):
            with pq.ParquetFile(self.root / name) as file:
                self.held = (name, group), file.read_row_group(group, columns=["bytes"])["bytes"].to_pylist()
        found = self.held[1][row]
        if not found:
            raise as_published(name, f"row group {group}, bytes", "none", "a picture")
        return found


def _files(root: Path, folder: str) -> list[str]:
    found = sorted((root / folder).glob("*.parquet"))
    if not found:
        raise as_published(f"{folder}/*.parquet", "files", "none", "one or more")
    return [f"{folder}/{path.name}" for path in found]


def _present(root: Path, name: str, wanted: Sequence[str], others: Sequence[str] = ()) -> list[str]:
    """The wanted columns, and those of the others that are there; raises BadInput where a wanted one isn't."""
    try:
        there = pq.read_schema(root / name).names
    except (pa.ArrowException, OSError) as error:
        raise as_published(name, "parquet", type(error).__name__, "a whole parquet file") from error
    lacking = [column for column in wanted if column not in there]
    if lacking:
        raise as_published(name, "columns", f"no {', '.join(lacking)}", ", ".join(wanted))
    return [*wanted, *(column for column in others if column in there)]


def _talk(row: Mapping[str, Any], column: str, name: str, k: int) -> tuple[Message, ...]:
    turns = row[column]
    if not isinstance(turns, list) or not turns:
        raise as_published(name, f"row {k}, {column}", "no turns", "a list of {role, content}")
    for turn in turns:
        if not isinstance(turn, dict) or turn.get("role") not in ROLES or not isinstance(turn.get("content"), str):
            raise as_published(name, f"row {k}, {column}", "another turn", f"a text by one of {', '.join(ROLES)}")
    return tuple(Message(turn["role"], turn["content"]) for turn in turns)


def _ids(row: Mapping[str, Any], name: str, k: int) -> tuple[str, ...]:
    found = row.get("image_ids") or []
    if not all(isinstance(one, str) for one in found):
        raise as_published(name, f"row {k}, image_ids", "another form", "a list of ids, or null")
    return tuple(found)


def _object(row: Mapping[str, Any], column: str, name: str, k: int) -> dict[str, Any]:
    value = row[column]
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        value = ()
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise as_published(name, f"row {k}, {column}", "no object", "a struct, or an object as JSON")
    return {key: one for key, one in value.items() if one is not None}
