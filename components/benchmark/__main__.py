"""Score a checkpoint or a peer, here or over a cluster.

python -m components.benchmark --set slake --source Slake1.0 --checkpoint checkpoints/rl
python -m components.benchmark … --on ray --workers 8 --gpus 0.5
python -m components.benchmark … --endpoint http://localhost:8000/v1 --model NAME
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from components import environment
from components.benchmark import results
from components.benchmark.endpoint import EndpointConfig
from components.benchmark.results import Result
from components.benchmark.run import Pool, run
from model.interface.errors import Failure


def command(
    name: Annotated[str, typer.Option("--set", help="As docs/vqa_sets.md names it.")],
    source: Annotated[Path, typer.Option(help="The set's folder.")],
    checkpoint: Annotated[Path | None, typer.Option(help="A checkpoint folder.")] = None,
    endpoint: Annotated[str, typer.Option(help="Of a peer: http://localhost:8000/v1.")] = "",
    model: Annotated[str, typer.Option(help="The peer's name there.")] = "",
    split: Annotated[str, typer.Option(help="The protocol's own by default.")] = "",
    most: Annotated[int | None, typer.Option(min=1, help="Ask only the first so many.")] = None,
    beside: Annotated[list[Path] | None, typer.Option(help="An earlier result.json to set beside; repeatable.")] = None,
    out: Annotated[Path, typer.Option(help="Results folder.")] = Path("results/benchmark"),
    on: Annotated[Literal["process", "ray"], typer.Option(help="This one, or a cluster.")] = "process",
    workers: Annotated[int, typer.Option(min=1, help="On a cluster.")] = 1,
    gpus: Annotated[float, typer.Option(min=0, help="Of each worker, parts of one too.")] = 0,
) -> None:
    """Score a checkpoint or a peer on a question answering set, by the set's own protocol."""
    environment.settle()
    try:
        peer = EndpointConfig(url=endpoint, model=model) if endpoint else None
        pool = Pool(workers, gpus) if on == "ray" else None
        earlier = [Result.read(file) for file in beside or ()]  # before hours of asking
        result = run(name, source, out, checkpoint=checkpoint, endpoint=peer, split=split, most=most, pool=pool)
        told = results.beside([result, *earlier])
    except Failure as failure:
        sys.stderr.write(failure.render() + "\n")
        raise typer.Exit(failure.exit_code) from None
    sys.stdout.write(told + "\n")


if __name__ == "__main__":
    typer.run(command)
