"""What shall be swept? The network in the sidebar and a recipe, the knobs that are turned and their values, and how
many combinations of them with how many seeds.
"""

from collections.abc import Mapping

import streamlit as st

from controls import session
from controls.choices import OneOf, SeveralOf, Switch, Text, Whole
from controls.panels.training_choices import choose_data, choose_recipe, chosen_images, offer_fit
from controls.services import sweeps, training
from controls.text import plain
from explorer.families import Config, Knob
from explorer.learning.datasets import Source
from explorer.learning.job import Job
from explorer.learning.recipe import Recipe
from explorer.learning.sweeps import reading, values
from explorer.learning.sweeps.engines import HERE, RAY
from explorer.learning.sweeps.sweep import MOST_SEEDS, MOST_TRIALS, Early, Part, Sweep, SweepError, Values, refusal

MOST_TURNED, IN_A_ROW = 6, 3
EVERY, DRAWN = "every", "drawn"
HOW = OneOf("sweep_how", EVERY, (EVERY, DRAWN))
HOWS = {EVERY: "All combinations", DRAWN: "Drawn at random"}
SAMPLE = Whole("sweep_trials", 20, 1, MOST_TRIALS)
DRAW = Whole("sweep_draw", 0, 0, 2**31 - 1)
SEEDS = Whole("sweep_seeds", 2, 1, MOST_SEEDS)
BUDGET = Whole("sweep_minutes", 0, 0, 10**7)
EARLY = Switch("sweep_early")
GRACE = Whole("sweep_grace", Early.grace, 1, 1000)
FACTOR = OneOf("sweep_factor", Early.factor, (2, 3, 4))
ON = OneOf("sweep_on", HERE, (HERE, RAY))
ONS = {HERE: "This machine", RAY: "Ray"}
TITLE = Text("sweep_title", 70)
PREFIX = "values_"  # of a turned knob's values in the link
LONGEST = 200  # characters of a knob's values
MOST_SEED = 2**31 - 1
ABOUT_VALUES = {
    "whole": "As 4, 8, 12, or 4 to 32 by 4",
    "real": "As 0.1, 0.2, or 0.1 to 0.5 by 0.1",
    "list": "As 2-2-2, 4-4-4",
    "choice": "With commas between them",
    "switch": "off, on, or both",
}


def choose_swept(config: Config) -> Sweep | None:
    """None where there is no such sweep, which is said in its place."""
    source = choose_data()
    recipe = choose_recipe(session.device(), records=False)
    if misfits := source.misfits(config):
        offer_fit(source, config, misfits)
        return None
    drawn = HOW.value() == DRAWN
    job = _job(config, source, recipe)
    turned = _choose_turned(job, drawn)
    box = st.columns([4, 2, 2, 3], vertical_alignment="bottom")
    HOW.segments(box[0], "Which of their combinations", title=HOWS.__getitem__)
    sample = SAMPLE.number(box[1], "How many", help="Each is trained with every seed.") if drawn else 0
    seeds = SEEDS.number(box[2], "Seeds", help="Each combination is trained with each of them; one leaves luck in it.")
    minutes = BUDGET.number(
        box[3], "Budget, minutes", help="Of training, of all trials together; what is left then waits. 0: no limit."
    )
    early = _choose_early(recipe)
    if turned is None:
        return None
    first = min(recipe.seed, MOST_SEED - seeds + 1)
    return Sweep(
        title=TITLE.value() or _usual_title(config, turned, source),
        parts=(Part("", job, turned),),
        seeds=tuple(range(first, first + seeds)),
        sample=sample,
        draw=DRAW.value() if drawn else 0,
        budget=sweeps.budget(60 * minutes),
        early=early,
    )


def choose_where() -> str:
    """Drawn only where there is a choice."""
    if not sweeps.on_ray():
        return HERE
    return ON.segments(st, "Trained on", title=ONS.__getitem__, help="Ray: the cluster that this server knows of.")


def choose_title(sweep: Sweep) -> None:
    about = "By which it is found again; empty: what it turns."
    TITLE.field(st, "Its name", sweep.title, help=about)


def _job(config: Config, source: Source, recipe: Recipe) -> Job:
    return Job(
        config,
        source.name,
        recipe,
        images=chosen_images(source),
        device=session.device(),
        most_seconds=training.rules().seconds,
    )


def _choose_turned(job: Job, drawn: bool) -> Mapping[str, Values] | None:
    """A box for the knobs, and a field for the values of each; None where one of them makes no sense."""
    known = values.turnable(job.config)
    usual = tuple(name for name in known if known[name].kind in ("whole", "real"))[:1]
    several = SeveralOf[str]("sweep_turn", (*usual, "learning_rate"), tuple(known), most=MOST_TURNED)
    names = several.select(
        st,
        "Knobs that are turned",
        title=lambda name: known[name].title,
        help="Of the network in the sidebar, and of its recipe; all others stay as they are.",
    )
    found: dict[str, Values] = {}
    boxes = [box for _ in range(0, len(names), IN_A_ROW) for box in st.columns(IN_A_ROW)]
    for name, box in zip(names, boxes, strict=False):
        with box:
            if (given := _values(known[name], job, drawn)) is not None:
                found[name] = given
    return found if len(found) == len(names) else None


def _values(knob: Knob, job: Job, drawn: bool) -> Values | None:
    present = getattr(job.recipe if knob.name in Recipe.model_fields else job.config, knob.name)
    usual = values.usual(knob, present, drawn, lambda text: not refusal(job, {knob.name: text}))
    about = f"{ABOUT_VALUES[knob.kind]}. " + "To draw from: 0.001 to 1, or 0.001 to 1 log. " * drawn
    text = Text(f"{PREFIX}{knob.name}", LONGEST).field(
        st, knob.title, usual, help=f"{about}{f'Each {knob.bounds}.' if knob.bounds else ''}"
    )
    try:
        return values.read(knob, text, drawn)
    except SweepError as error:
        st.caption(f":red[:material/error: {plain(str(error))}.]")
        return None


def _choose_early(recipe: Recipe) -> Early | None:
    """Offered where Ray is installed, whose scheduler decides."""
    if not sweeps.has_ray():
        return None
    box = st.columns([4, 2, 2, 3], vertical_alignment="bottom")
    on = EARLY.toggle(
        box[0],
        "Stop poor trials early",
        help="ASHA (Li et al., 1810.05934), of Ray Tune: after some epochs the best go on, of each so many one. The "
        "test images decide, so the accuracy of the best is flattered.",
    )
    if not on:
        return None
    most = max(1, recipe.epochs - 1)
    grace = GRACE.number(box[1], "Not before epoch", most=most, default=min(Early.grace, most))
    return Early(grace, FACTOR.select(box[2], "One goes on of"))


def _usual_title(config: Config, turned: Mapping[str, Values], source: Source) -> str:
    known = values.turnable(config)
    of = f" of {reading.title_of(config)} on {source.title}"
    found = (" and ".join(known[name].in_sentence for name in turned) or "seeds") + of
    found = found if len(found) < TITLE.most else f"{len(turned)} knobs{of}"
    return sweeps.free_title(f"{found[:1].upper()}{found[1:]}"[: TITLE.most])
