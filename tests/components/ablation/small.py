"""Ablations in miniature: the small world, two cells and what RL makes of one, two seeds, a handful of steps."""

from components.ablation.cells import Cell, Claim, Plan, Reinforcement, Training

PLAN = Plan(
    seeds=(0, 1),
    training=Training(heads=4, epochs=2, studies=4, max_tokens=16, draws=100),
    rl=Reinforcement(steps=2, images=1, volumes=1, group=2),
    cells={
        "joint": Cell(),
        "no-crops": Cell(crops="none"),
        "joint-rl": Cell(after="joint"),
    },
    claims=(
        Claim(claim="crops help", better="joint", than="no-crops", metric="accuracy", dimension="2d"),
        Claim(claim="crops help", better="joint", than="no-crops", metric="accuracy", dimension="3d"),
        Claim(claim="RL keeps boxes", better="joint-rl", than="joint", metric="box_iou", dimension="3d"),
    ),
)
