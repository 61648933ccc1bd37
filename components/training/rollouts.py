"""Where a worker's answers come from: its own engine, or a pool of engines that are handed its weights.

Either way answers are made by the weights of the last update and no others: their version is the number of steps done.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor

from components.training.keeping import shelf
from components.training.rl_config import RlConfig
from model.interface.errors import Conflict
from model.vlm.backend import Asked, LocalEngine, RolloutBackend
from model.vlm.checkpoint import Checkpoint
from model.vlm.features import Features
from model.vlm.rollout import Rollout
from model.vlm.sampling import Sampling


@contextmanager
def backend(checkpoint: Checkpoint, config: RlConfig) -> Iterator[RolloutBackend]:
    """A pool begins with the weights of `config.sft`, and needs a running cluster."""
    if config.rollout == "local":
        yield LocalEngine(checkpoint, Features(shelf=shelf(config)))
        return
    from components.training.rollout_pool import RolloutPool

    # a train worker holds its CPU already, and waits while its engines work
    with RolloutPool(config.sft, config.engines, gpus=float(config.gpu), cpus=0, shelf=shelf(config)) as pool:
        yield pool


def hand_over(backend: RolloutBackend, trained: Mapping[str, Tensor], version: int) -> None:
    """Let the next answers come from these weights. The engine of this process holds them already."""
    backend.load({} if isinstance(backend, LocalEngine) else trained, version)


def generate(backend: RolloutBackend, asked: Asked, sampling: Sampling, version: int) -> list[Rollout]:
    """Raises Conflict where other weights than these answered."""
    made = backend.generate(asked, sampling)
    if made.version != version:
        raise Conflict(
            "answers of other weights can't be learnt from",
            where=f"rollouts: found version {made.version}, wanted {version}",
            safe="the last checkpoint is kept",
            next="urm train rl goes on from it",
        )
    return made.rollouts
