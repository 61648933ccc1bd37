"""The sampler's promises: every study once an epoch, the same whoever works, in the order it always had."""

from collections import Counter

import pytest

from components.training.sampler import KINDS, Item, Kind, Mixture, Sampler, Taken
from model.interface.errors import BadInput


def items(images: int = 9, volumes: int = 5, text: int = 0) -> list[Item]:
    """Images and volumes take turns while there are both; every study has two questions."""
    left: dict[Kind, int] = {"images": images, "volumes": volumes}
    order, found = list[Kind](left), list[Kind]()
    for kind in order * 99:
        if left[kind]:
            left[kind] -= 1
            found.append(kind)
    found += text * list[Kind](("text",))
    return [Item(i, kind, ("size", "lesion")) for i, kind in enumerate(found)]


def sampler(some: list[Item], *, epochs: int = 2, size: int = 4, start: Mixture | None = None, end=None) -> Sampler:
    return Sampler(some, seed=3, size=size, epochs=epochs, start=start or Mixture(), end=end)


def taken(made: Sampler, first: int = 0, last: int | None = None) -> list[Taken]:
    return [one for step in range(first, made.steps if last is None else last) for one in made.batch(step)]


@pytest.mark.parametrize("shape", [(9, 5, 0), (1, 7, 3), (0, 4, 0), (13, 0, 1), (0, 0, 6)])
def test_equal_weights_take_every_study_once_an_epoch(shape: tuple[int, int, int]) -> None:
    made = sampler(items(*shape), epochs=3)
    for epoch in range(3):
        some = taken(made, epoch * made.per_epoch, (epoch + 1) * made.per_epoch)
        assert Counter(one.place for one in some) == dict.fromkeys(range(sum(shape)), 1)
        assert all(one.questions == (0, 1) for one in some)


def test_a_step_is_the_same_for_whoever_resumes_there() -> None:
    """The cursor is the step: a new sampler, asked for nothing before, gives the same."""
    made = sampler(items(text=3))
    assert [made.batch(step) for step in range(made.steps)] == [
        sampler(items(text=3)).batch(step) for step in range(made.steps)
    ]


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    made, other = sampler(items()), Sampler(items(), seed=4, size=4, epochs=2, start=Mixture())
    assert taken(made, 0, made.per_epoch) != taken(made, made.per_epoch)
    assert taken(made) != taken(other)


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_the_number_of_workers_may_change_at_any_step(world: int) -> None:
    """What one world left is taken by another: nothing is skipped or taken twice (P21)."""
    made = sampler(items(), epochs=1)
    for change in range(made.steps + 1):
        seen: Counter[int] = Counter()
        for step in range(made.steps):
            now = world if step < change else 2
            for rank in range(now):
                seen.update(one.place for one in made.batch(step) if one.place % now == rank)
        assert seen == dict.fromkeys(range(14), 1)


def test_a_pool_of_twice_the_weight_is_taken_twice_as_often() -> None:
    made = sampler(items(40, 20), epochs=6, size=6, start=Mixture(volumes=2.0))
    seen = Counter(one.place for one in taken(made))
    kinds = {item.place: item.kind for item in items(40, 20)}
    visits = {kind: [seen[place] for place in kinds if kinds[place] == kind] for kind in ("images", "volumes")}
    assert sum(visits["volumes"]) / 20 == pytest.approx(2 * sum(visits["images"]) / 40, rel=0.05)
    assert all(max(some) - min(some) <= 1 for some in visits.values())  # nobody is left out
    assert max(len(made.batch(step)) for step in range(made.steps)) <= 6 + 2 * len(KINDS)


def test_weights_change_in_equal_steps_over_the_run() -> None:
    made = sampler(items(60, 60), epochs=4, size=12, start=Mixture(volumes=0.0), end=Mixture(images=0.0))
    kinds = {item.place: item.kind for item in items(60, 60)}
    shares = [
        sum(kinds[one.place] == "volumes" for one in made.batch(step)) / len(made.batch(step))
        for step in range(made.steps)
    ]
    assert shares[0] == 0
    assert shares[-1] == 1
    middle = made.steps // 2
    assert sum(shares[middle - 3 : middle + 3]) / 6 == pytest.approx(0.5, abs=0.1)


def test_a_family_of_half_the_weight_is_asked_every_other_time() -> None:
    made = sampler(items(40, 0), epochs=20, size=8, start=Mixture(families={"lesion": 0.5}))
    asked = Counter(k for one in taken(made) for k in one.questions)
    assert asked[0] == 40 * 20
    assert asked[1] == pytest.approx(asked[0] / 2, rel=0.1)


def test_a_family_of_no_weight_takes_no_empty_row() -> None:
    only = [Item(i, "images", ("lesion",) if i % 3 else ("size",)) for i in range(12)]
    made = sampler(only, start=Mixture(families={"lesion": 0.0}))
    assert Counter(one.place for one in taken(made)) == dict.fromkeys(range(0, 12, 3), 2)


@pytest.mark.parametrize(
    ("start", "end", "named"),
    [
        (Mixture(images=0), None, "mixture:"),
        (Mixture(volumes=0), Mixture(images=0), "mixture_end:"),
        (Mixture(), Mixture(images=0, volumes=0, text=0), "mixture_end:"),
    ],
)
def test_nothing_to_take_is_said(start: Mixture, end: Mixture | None, named: str) -> None:
    """At whichever end of the run it would be."""
    with pytest.raises(BadInput, match="a step would be empty") as refused:
        sampler(items(3, 0), start=start, end=end)
    assert refused.value.where.startswith(named)
    assert refused.value.next.endswith(": images")


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"start": Mixture(families={"lesoin": 2.0})}, "found lesoin, wanted one of lesion, size"),
        ({"end": Mixture(families={"lesoin": 2.0})}, "found lesoin, wanted one of lesion, size"),
        ({"start": Mixture(families={"lesion": 0, "size": 0})}, "every weight is 0, wanted one above of lesion, size"),
        ({"end": Mixture(families={"lesion": 0, "size": 0})}, "every weight is 0, wanted one above of lesion, size"),
    ],
)
def test_families_that_nobody_could_mean_are_said(told: dict, complaint: str) -> None:
    with pytest.raises(BadInput) as refused:
        sampler(items(), **told)
    named = "mixture" if "start" in told else "mixture_end"
    assert refused.value.where == f"{named}.families: {complaint}"


def test_the_order_is_the_one_the_published_checkpoints_were_made_in() -> None:
    """As each of two workers drew its own then: places of the first epoch and a half, worked out by that code."""
    made = sampler(items())
    first = [made.batch(step) for step in range(6)]
    assert [[one.place for one in batch if one.place % 2 == 0] for batch in first] == [
        [10],
        [12, 4],
        [2, 8],
        [6, 0],
        [4],
        [2, 8],
    ]
    assert [[one.place for one in batch if one.place % 2] for batch in first] == [
        [9],
        [13, 7],
        [3],
        [11, 1, 5],
        [9],
        [11, 7],
    ]
