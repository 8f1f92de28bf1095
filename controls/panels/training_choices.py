"""What is trained on what, and how: the data set, the recipe, and the button that starts a run."""

from typing import Any

import streamlit as st

from controls import session, uploads
from controls.choices import OneOf, Real, Switch, Whole
from controls.panel import panel, say_refusal
from controls.services import data, speed, training
from controls.text import plain
from explorer.families import Config, Knob, describe, knobs
from explorer.learning import events
from explorer.learning.datasets import DataError, Source
from explorer.learning.datasets.picture_files import MOST_PICTURES
from explorer.learning.datasets.zips import MOST_ZIP
from explorer.learning.job import Job, fitting_threads
from explorer.learning.precision import fastest
from explorer.learning.recipe import QUICK, RECIPES, Recipe
from explorer.plots import mosaic
from explorer.wording import duration

DATA = OneOf("data", "shapes")
IMAGES = OneOf("train_images", 0)
COUNTS = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
RECIPE = OneOf("recipe", QUICK, tuple(RECIPES))
RUN = OneOf("run", "")
EVENTS = Switch("tensorboard")
KEEP, KEPT = Switch("keep_path"), 20  # times that weights are kept on the way
PREFIX = "train_"  # of a recipe's knobs in the link, some of which networks have too
MOST_SHOWN, SHOWN = 10, 64  # images of the data set, and their side in pixels
EVERY = 1.0  # seconds between two looks at whether the speed is measured


@panel
def choose_job(config: Config) -> None:
    """The form, and the button."""
    source = choose_data()
    recipe = choose_recipe(session.device())
    if misfits := source.misfits(config):
        offer_fit(source, config, misfits)
        return
    job = Job(
        config,
        source.name,
        recipe,
        images=chosen_images(source),
        device=session.device(),
        threads=fitting_threads(),
        most_seconds=training.rules().seconds,
        owner=training.owner(),
        tensorboard=EVENTS.value() and events.can_be_written(),
        keep_path=KEPT if KEEP.value() else 0,
    )
    start_button(job, source)


def choose_data() -> Source:
    left, right, own = st.columns([3, 2, 2], vertical_alignment="bottom")
    with own.popover("Your own pictures", icon=":material/folder_zip:", width="stretch"):
        own_pictures(session.config())
    if wanted := DATA.in_link():
        data.know(wanted)
    known = data.visible()
    name = DATA.select(left, "Data set", tuple(known), title=lambda one: known[one].title)
    source = known[name]
    IMAGES.select(
        right,
        "Training images",
        _counts(source),
        source.images[0],
        title="{:,}".format,
        help="With few of them it learns them by heart.",
    )
    glimpse(source, session.config())
    st.caption(
        f"{source.images[1]:,} images to test on. From: {plain(source.origin)}. Licence: {plain(source.licence)}."
    )
    return source


def chosen_images(source: Source) -> int:
    """How many of them are learned from."""
    return IMAGES.value(_counts(source), source.images[0])


def own_pictures(config: Config) -> None:
    """A zip to send; once it is read it is the data set that is chosen."""
    colour = "colour" if config.channels == 3 else "grey"
    st.caption(
        f"A zip with one folder for each class, named after it. Pictures become {config.input_size} px and {colour}, "
        "as the network in the sidebar takes them. One in five is kept to test on, unless there are folders train and "
        f"test. At most {MOST_PICTURES:,} pictures."
    )
    file = st.file_uploader("Zip", type=["zip"], key="data.zip", max_upload_size=uploads.largest(MOST_ZIP))
    if st.button("Read the pictures", icon=":material/unarchive:", disabled=file is None) and file is not None:
        try:
            read = data.take_zip(file)
            DATA.set(read.name)
            st.success(f"{read.images[0]:,} pictures to train on and {read.images[1]:,} to test on.")
        except DataError as error:
            say_refusal(str(error))


def _counts(source: Source) -> tuple[int, ...]:
    """How many images can be learned from; the usual number among them."""
    few = [count for count in COUNTS if 2 * len(source.classes) <= count <= source.most_images]
    return tuple(sorted({*few, source.images[0]}))


def glimpse(source: Source, config: Config) -> None:
    """A test image of each class, or of the first ones; their names alone where that would mean to load all."""
    shown = data.glimpse(source, config)
    names = [picture.name for picture in shown] or list(source.classes[:MOST_SHOWN])
    if shown:
        row = st.container(horizontal=True, gap="small")  # which goes on in the next line where there is little room
        for picture in shown:
            large = mosaic.resize(picture.pixels[None], SHOWN)[0]
            row.image(mosaic.data_url(large), caption=plain(picture.name), alt=picture.name, width=SHOWN)
    else:
        more = " and more" * (len(source.classes) > MOST_SHOWN)
        st.caption(f"{len(source.classes)} classes: {plain(', '.join(names))}{more}.")


def offer_fit(source: Source, config: Config, misfits: tuple[str, ...]) -> None:
    """The one button that makes the network fit the data; nothing is changed without it."""
    changes = source.fit(config)
    words = ", ".join(f"{_title(config, name)} {describe(value)}" for name, value in changes.items())
    st.info(f"{plain(source.title)} needs {plain('; '.join(misfits))}.", icon=":material/fit_screen:")
    st.button(
        f"Fit the network to {plain(source.title)}: {words}",
        icon=":material/auto_fix_high:",
        type="primary",
        on_click=lambda: session.change(**changes),
    )


def _title(config: Config, name: str) -> str:
    return next(knob.in_sentence for knob in knobs(type(config)) if knob.name == name)


def choose_recipe(device: str, records: bool = True) -> Recipe:
    """A paper's recipe, or a quick one, and its knobs turned; with `records`, also what a run writes down beside it."""
    titles = {name: one.title for name, one in RECIPES.items()}
    left, right, _ = st.columns([3, 2, 2], vertical_alignment="bottom")
    chosen = RECIPES[RECIPE.select(left, "Recipe", title=titles.__getitem__, help="The papers' take hours and days.")]
    with right:
        own = st.popover("Turn its knobs", icon=":material/tune:", width="stretch")
    usual = chosen.recipe.replace(precision=fastest(device))
    with own:
        st.caption(f"{chosen.source}.")
        box = st.columns(2)
        if records:
            _choose_records()
        values = {knob.name: _knob(box[i % 2], knob, getattr(usual, knob.name)) for i, knob in enumerate(knobs(Recipe))}
    recipe = usual.replace(**values)
    turned = [knob.in_sentence for knob in knobs(Recipe) if getattr(recipe, knob.name) != getattr(usual, knob.name)]
    own.button("As the recipe has them", icon=":material/undo:", on_click=_turn_back, disabled=not turned)
    st.caption(f"{plain(described(recipe))}." + (f" Turned: {', '.join(turned)}." if turned else ""))
    return recipe


def _choose_records() -> None:
    if events.can_be_written():
        EVENTS.toggle(st, "Events for TensorBoard", help="In the run's directory, beside its own tables.")
    KEEP.toggle(st, "Keep the path of its weights", help=f"{KEPT} times on the way; the loss's shape then shows it.")


def _turn_back() -> None:
    for knob in knobs(Recipe):
        session.keep_entry(f"{PREFIX}{knob.name}", None)


def _knob(at: Any, knob: Knob, usual: Any) -> Any:
    name, text = f"{PREFIX}{knob.name}", f"{knob.help[:1].upper()}{knob.help[1:]}."
    if knob.kind == "switch":
        return Switch(name, usual).toggle(at, knob.title, help=text)
    if knob.kind == "choice":
        return OneOf(name, usual, knob.choices).select(at, knob.title, help=text)
    if knob.kind == "real":
        choice = Real(name, float(usual), float(knob.least), float(knob.most))
        return choice.number(at, knob.title, step=float(knob.step), format="%g", help=text)
    return Whole(name, int(usual), int(knob.least), int(knob.most)).number(at, knob.title, help=text)


def described(recipe: Recipe) -> str:
    """In a line: 12 epochs of 128, nesterov, one-cycle to 0.1, decay 0.0005, bfloat16."""
    parts = [
        f"{recipe.epochs} {'epoch' if recipe.epochs == 1 else 'epochs'}, "
        f"{recipe.batch_size} {'image' if recipe.batch_size == 1 else 'images'} a step",
        f"{recipe.optimizer} with learning rate {recipe.learning_rate:g} ({recipe.schedule})",
        f"weight decay {recipe.weight_decay:g}",
    ]
    if recipe.augmentation != "none":
        parts.append(recipe.augmentation)
    if recipe.label_smoothing:
        parts.append(f"label smoothing {recipe.label_smoothing:g}")
    return ", ".join([*parts, recipe.precision, f"seed {recipe.seed}"])


def start_button(job: Job, source: Source) -> None:
    refusal = training.refusal(job)
    box = st.container(horizontal=True, vertical_alignment="center")
    box.button(
        "Train",
        icon=":material/play_arrow:",
        type="primary",
        disabled=bool(refusal),
        on_click=session.attempt,
        args=(_start, job),
        key="training.start",
    )
    if refusal:
        say_refusal(refusal)
        return
    with box:
        _estimate(job, source)


def _start(job: Job) -> None:
    RUN.set(training.start(job).name)


def _estimate(job: Job, source: Source) -> None:
    """How long it would take, as soon as that has been measured."""
    known = speed.speed(job) is not None

    @st.fragment(run_every=None if known else EVERY)
    def shown() -> None:
        found = speed.speed(job)
        if found is None:
            st.caption(":material/speed: Measuring how long it would take …")
            return
        if not known:
            st.rerun()  # to end the looking
        if found.images_per_second:
            seconds = (job.images or source.images[0]) * job.recipe.epochs / found.images_per_second
            st.caption(
                f":material/speed: {duration(seconds).capitalize()}: {found.images_per_second:,.0f} images/s on "
                f"{job.device}, measured on its first steps."
            )

    shown()
