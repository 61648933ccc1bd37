"""Where visual tokens are kept: the tower is frozen, so each picture goes through it once.

sft    a run's pictures and its teacher's crops in this machine's memory, and on the device while a batch is at work
rl     the last `features.ROOM_MB` on the device of the engine: crops come and go with what is pointed at
both   on disk besides, over runs, where `features_gb` gives room there
"""

from components import environment
from components.training.config import TrainingConfig
from components.training.examples import Encode
from model.vlm.checkpoint import Checkpoint
from model.vlm.features import Features, tower_digest
from model.vlm.shelf import Shelf


def shelf(config: TrainingConfig) -> Shelf | None:
    return Shelf(environment.home() / "features", config.features_gb) if config.features_gb else None


def encoder(checkpoint: Checkpoint, config: TrainingConfig) -> Encode:
    """Pictures to tokens in this machine's memory, what is on disk from there."""
    store = Features(0, shelf(config))
    tower = tower_digest(checkpoint.vlm) if store.keeps else ""
    return lambda pictures: [one.cpu() for one in store.of(checkpoint.vlm, pictures, checkpoint.contract, tower)]
