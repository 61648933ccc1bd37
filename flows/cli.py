"""`urm`: the command line. Results on stdout, everything else on stderr.

Nothing heavy is imported before a command needs it, so that --help answers at once.
"""

import json
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from components import environment, settings
from model.imaging.reading.declared import Declared
from model.interface.errors import BadInput, Failure

EXAMPLES = """Grounded reasoning about 2D and 3D medical images: train, evaluate, ask, watch.

\b
  urm demo                                             the whole loop, on embedded anatomy
  urm ask head.nii.gz "Is there a lesion?" --option Yes --option No --page answer.html
  urm inspect series/ --sheet seen.html                what was understood of a file
  urm trace show QUESTION_ID                           one answer of the evaluation, as a page
  urm compare joint only-3d                            two ablations, with intervals and the answers that changed

Research use only. Not a medical device.
"""

app = typer.Typer(help=EXAMPLES, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
trace_app, data_app = (typer.Typer(no_args_is_help=True, rich_markup_mode=None) for _ in range(2))
app.add_typer(trace_app, name="trace", help="Look at one answer.")
app.add_typer(data_app, name="data", help="Make, check and describe data sets.")

Json = Annotated[bool, typer.Option("--json", help="Machine-readable, on stdout.")]
Evidence = Annotated[
    list[Path] | None,
    typer.Option(help="Write the boxes as .json, .nii.gz, .mrk.json (3D Slicer), .seg.dcm or .sr.dcm; repeatable."),
]
Override = Annotated[
    list[str] | None,
    typer.Option(
        help="Show it otherwise than in training: ct_windows=lung, plane=coronal …; repeatable.",
        parser=lambda told: told.replace(" ", ""),
        metavar="NAME=VALUE",
    ),
]
Sources = Annotated[
    list[str] | None,
    typer.Option("--source", help="ADAPTER=FOLDER, as totalsegmentator=/data/ts, or `embedded`; repeatable."),
]
Cases = Annotated[int | None, typer.Option(min=1, help="Take only the first so many of each source.")]
CotOut = Annotated[Path | None, typer.Option("--out", help="The build's folder.")]
Checkpoint = Annotated[str, typer.Option(help="A registry alias, or a checkpoint folder.")]
DECLARED: dict[str, Any] = {
    "modality": Annotated[str | None, typer.Option(help="CT or MR, where the file doesn't say.")],
    "radiological": Annotated[bool, typer.Option(help="Column 0 of this picture is the patient's right.")],
    "series": Annotated[int | None, typer.Option(help="Which series of a DICOM folder or zip, from 1.")],
    "index": Annotated[int | None, typer.Option(help="Which volume of a 4-D file, or frame of several, from 0.")],
    "allow_burned_in": Annotated[
        bool, typer.Option("--allow-burned-in", help="Read pictures that may show a patient's data.")
    ],
}
"""An option for each field of `Declared`."""


def declares(command: Callable[..., None]) -> Callable[..., None]:
    """The options of `DECLARED` in the place of a command's `declared`."""

    @wraps(command)
    def told(**values: Any) -> None:
        command(declared=Declared(**{name: values.pop(name) for name in DECLARED}), **values)

    options = [
        Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=DECLARED[field.name])
        for field in fields(Declared)
    ]
    kept = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in signature(command).parameters.values()]
    at = [p.name for p in kept].index("declared")
    told.__signature__ = Signature([*kept[:at], *options, *kept[at + 1 :]])  # pyright: ignore[reportAttributeAccessIssue]
    told.__annotations__ = {p.name: p.annotation for p in [*kept, *options] if p.name != "declared"}
    return told


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check this installation; each warning or failure comes with what to do."""
    from flows.doctor import examine

    findings = examine()
    if as_json:
        _say_json([finding.to_json() for finding in findings])
    else:
        for finding in findings:
            typer.echo(finding.line())
    raise typer.Exit(int(any(finding.level == "fail" for finding in findings)))


@app.command()
def demo() -> None:
    """Run the whole loop: data, training, evaluation, gate, promotion, drift. Again: only what changed."""
    from flows.demo import run

    for line in run():
        typer.echo(line)


@app.command()
@declares
def ask(
    file: Annotated[Path, typer.Argument(help="NIfTI, DICOM (a file, folder or zip), NRRD, MHA, npy or a picture.")],
    question: Annotated[str, typer.Argument(help="What to ask about it.")],
    declared: Declared,
    option: Annotated[list[str] | None, typer.Option(help="A possible answer; repeat for each.")] = None,
    checkpoint: Checkpoint = "champion",
    page: Annotated[Path | None, typer.Option(help="Write the answer as one HTML page.")] = None,
    evidence: Evidence = None,
    override: Override = None,
    as_json: Json = False,
) -> None:
    """Ask about an image or a volume of your own."""
    from flows.asking import ask_file

    asked = ask_file(file, question, tuple(option or ()), declared, checkpoint, tuple(override or ()))
    if as_json:
        _say_json(asked.to_json())
    else:
        _say(asked.lines())
    if page:
        typer.echo(f"page: {asked.write_page(page)}", err=True)
    _write_evidence(asked, evidence)


@app.command()
@declares
def inspect(
    file: Annotated[Path, typer.Argument(help="Anything `urm ask` reads.")],
    declared: Declared,
    checkpoint: Annotated[str | None, typer.Option(help="Whose view; the default contract's otherwise.")] = None,
    override: Override = None,
    sheet: Annotated[Path | None, typer.Option(help="Write the slices as the model sees them, .png or .html.")] = None,
    as_json: Json = False,
) -> None:
    """Tell what was understood of a file: orientation, spacing, window, slices, what is dropped."""
    from components.serving.inspect import inspected, write_sheet
    from flows.asking import contract_of

    finding, prepared = inspected(file, declared, contract_of(checkpoint, tuple(override or ())))
    if as_json:
        _say_json(finding.to_json())
    else:
        _say(finding.lines())
    if sheet:
        typer.echo(f"sheet: {write_sheet(finding, prepared, sheet)}", err=True)


@trace_app.command("show")
@declares
def trace_show(
    which: Annotated[str, typer.Argument(help="A question id of the evaluation, or a file `urm ask --json` wrote.")],
    declared: Declared,
    image: Annotated[Path | None, typer.Option(help="The image such a file is about.")] = None,
    checkpoint: Checkpoint = "champion",
    page: Annotated[Path | None, typer.Option(help="Where the page goes; traces/ by default.")] = None,
    evidence: Evidence = None,
    picture: Annotated[Path | None, typer.Option(help="Also write it as one PNG.")] = None,
    as_json: Json = False,
) -> None:
    """Show how an answer was reached, and write it as one HTML page."""
    from flows.asking import recall

    asked = recall(which, image, declared, checkpoint)
    name = re.sub(r"[^\w-]", "_", asked.question.id)  # an id of a file's may be anything
    written = asked.write_page(page or Path("traces") / f"{name}.html")
    typer.echo(f"page: {written}", err=True)
    if picture:
        typer.echo(f"picture: {asked.write_picture(picture)}", err=True)
    _write_evidence(asked, evidence)
    if as_json:
        _say_json(asked.to_json())
    else:
        _say(asked.lines())


@data_app.command("build")
def data_build(
    source: Sources = None,
    out: CotOut = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
    cases: Cases = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count: list cases, read no pixel.")] = False,
) -> None:
    """Make the embedded data set unless it is up to date; with --source, grounded reasoning data from masks."""
    if not source:
        _only_with_source(out=out, workers=workers, cases=cases, dry_run=dry_run)
        _stage("data")
        return
    from flows import building

    config = building.config_of(source, out, workers, cases)
    _say(building.planned(config) if dry_run else building.build(config))


@data_app.command("check")
def data_check(source: Sources = None, out: CotOut = None, cases: Cases = None) -> None:
    """Compare every file with the manifest and look through every row; with --source, work every sample out again."""
    if source:
        from flows import building

        _say(building.checked(building.config_of(source, out, cases=cases)))
        return
    from model.imaging.reading.sealed import check

    folder = out or Path("data")
    check(folder)
    typer.echo(f"{folder}: every file is as it was written, and every row can be read")


@data_app.command("card")
def data_card(
    source: Sources = None,
    out: CotOut = None,
    results: Annotated[Path | None, typer.Option(help="Where the numbers go; beside the shards by default.")] = None,
) -> None:
    """Print a card, the embedded set's by default; with --source, write and record that of a build."""
    if source:
        from flows import building

        config = building.config_of(source, out)
        _say(building.card(config, results or config.out))
        return
    card = (out or Path("data")) / "card.md"
    if not card.exists():
        build = f"urm data card --source ADAPTER=FOLDER --out {out}" if out else "urm data build"
        raise BadInput("there is no card here", where=f"{card}, found nothing, wanted a card", next=build)
    typer.echo(card.read_text())


@app.command()
def train(
    stage: Annotated[str, typer.Argument(help="base, sft or rl.")],
    profile: Annotated[str | None, typer.Option(help="h200-3b-lora, h200-7b-full or cluster-7b; not for base.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only work out steps, tokens and memory.")] = False,
) -> None:
    """Train a stage and what it needs, unless up to date; sft and rl go on where a crash left them."""
    if stage not in ("base", "sft", "rl"):
        raise typer.BadParameter(f"'{stage}', expected base, sft or rl")
    if not dry_run and profile in (None, "tiny"):
        return _stage(stage)
    if stage == "base":
        raise typer.BadParameter("base has neither profiles nor a plan, expected sft or rl")
    from flows import training

    if dry_run:
        return _say(training.plan(stage, profile))
    return _say([f"checkpoint: {training.run(stage, profile or 'tiny')}"])


@app.command()
def evaluate(as_json: Json = False) -> None:
    """Evaluate the checkpoints, unless up to date, and print the table."""
    from components.evaluation.config import EvaluateConfig

    _stage("evaluate")
    out = settings.load("evaluate", EvaluateConfig).out
    typer.echo((out / ("metrics.json" if as_json else "table.md")).read_text(), nl=False)


@app.command()
def compare(
    runs: Annotated[list[str], typer.Argument(help="Cells of the ablations, checkpoints evaluated, or folders.")],
    page: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("traces/compare.html"),
    items: Annotated[int, typer.Option(min=0, help="Changed answers shown of each pair, won and lost.")] = 8,
    as_json: Json = False,
) -> None:
    """Compare runs with the first: paired differences with intervals, a forest plot, and the answers that changed."""
    from dataclasses import asdict

    from components.compare.differences import line
    from flows.comparing import compared

    rows = compared(runs, page, items)
    typer.echo(f"page: {page.resolve()}", err=True)
    if as_json:
        _say_json([asdict(row) | {"verdict": row.verdict} for row in rows])
    else:
        _say(map(line, rows))


@app.command()
def promote(
    version: Annotated[int | None, typer.Argument(help="A version of the model; the challenger by default.")] = None,
    expect: Annotated[int | None, typer.Option(help="Refuse unless this version is champion now.")] = None,
) -> None:
    """Make a version champion whatever the gate said. The old champion becomes `previous`."""
    from components.registry import promotion, versions

    known = versions.aliases()
    chosen = version or known.get(versions.CHALLENGER)
    if chosen is None:
        raise Failure("nothing is registered yet", where=f"model registry, {versions.MODEL}", next="urm demo")
    change = promotion.promote(chosen, expect if expect is not None else known.get(versions.CHAMPION))
    _say([f"champion: version {change.champion}", f"previous: version {change.previous}"])


@app.command()
def rollback(
    expect: Annotated[int | None, typer.Option(help="Refuse unless this version is champion now.")] = None,
) -> None:
    """Champion and previous change places."""
    from components.registry import promotion

    change = promotion.roll_back(expect)
    _say([f"champion: version {change.champion}", f"previous: version {change.previous}"])


@app.command()
def drift(as_json: Json = False, checkpoint: Checkpoint = "champion") -> None:
    """Compare the windows with the reference, as the checkpoint sees them."""
    from dataclasses import asdict

    from flows.artifacts import drift_lines
    from flows.asking import folder_of
    from monitoring.windows import WatchConfig, watch

    out = environment.settle() / "drift"
    verdicts = watch(settings.load("drift", WatchConfig), folder_of(checkpoint), out)
    typer.echo(f"reports: {out}", err=True)
    if as_json:
        _say_json([asdict(verdict) for verdict in verdicts])
    else:
        _say(drift_lines(verdicts))


@app.command()
def ui(service: Annotated[str, typer.Argument(help="mlflow or prefect.")]) -> None:
    """Open a service's own pages on this machine; Ctrl-C closes them."""
    from flows.pages import serve

    serve(service)


def main() -> None:
    """Run a command. Errors are four lines on stderr, and the exit code says which kind."""
    environment.settle()
    try:
        app()
    except Failure as failure:
        typer.echo(failure.render(), err=True)
        sys.exit(failure.exit_code)


def _only_with_source(**options: Any) -> None:
    """The embedded data set is set in params.yaml alone."""
    if given := [f"--{name.replace('_', '-')}" for name, value in options.items() if value]:
        raise BadInput(
            "this is for data from masks",
            where=f"{', '.join(given)}, found no --source, wanted one",
            next="add --source ADAPTER=FOLDER, or set `data` in params.yaml",
        )


def _stage(name: str) -> None:
    from flows.stages import reproduce

    typer.echo(f"{name}: {reproduce(name, upstream=True)}", err=True)


def _write_evidence(asked: Any, files: list[Path] | None) -> None:
    for file in files or ():
        typer.echo(f"evidence: {asked.write_evidence(file)}", err=True)


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


def _say_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))
