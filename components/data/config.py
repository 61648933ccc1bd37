"""How large the data set is, and from which seed."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class DataConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=2026, ge=0)
    """Every head has its own stream below it, so bytes depend neither on workers nor on the other sizes."""
    heads_train: int = Field(default=240, ge=1)
    """Heads of the four training donors and the atlas; each gives a volume and some slices."""
    heads_val: int = Field(default=16, ge=1)
    """Heads of one donor."""
    heads_test: int = Field(default=110, ge=1)
    """Heads of another donor."""
    slices_per_head: int = Field(default=5, ge=1)
    """Of training and validation."""
    slices_per_test_head: int = Field(default=3, ge=1)
    questions_train: tuple[int, int] = (3600, 1100)
    """Most questions about slices and about volumes; balancing may leave fewer."""
    questions_val: tuple[int, int] = (120, 48)
    questions_test: tuple[int, int] = (340, 220)
    questions_real: tuple[int, int] = (30, 10)
    slices_real: int = Field(default=12, ge=3)
    """Of the one real study, a third of them in each plane."""
    grid: tuple[int, int, int] = (128, 128, 64)
    """Voxels of a painted head (x, y, z); its field of view is `studies.FIELD_MM`."""
    window_grid: tuple[int, int, int] = (96, 96, 64)
    """The same, of the drift windows: the grid the tower was pretrained on."""
    window_studies: int = Field(default=120, ge=1)
    """Slices, each of its own head and with one question, in each window of the drift check."""
    workers: int = Field(default=2, ge=1)
    """Processes that paint."""
    out: Path = Path("data")
    """Sealed folder of shards."""
    results: Path = Path("results/data")
    """Where metrics.json and card.png go."""
