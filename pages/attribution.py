"""Which pixels decided the answer?"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from controls import attributions, session
from controls.attributions import Choices, Subject
from controls.panels import picture as pictures
from controls.panels.contenders import choose_contenders
from controls.services import built, forwards
from controls.text import plain
from explorer.analyses import activations
from explorer.analyses.attribution import baselines, checks
from explorer.analyses.attribution.display import clipped
from explorer.analyses.attribution.methods import METHODS
from explorer.analyses.attribution.running import Attribution, default_operation, on_pixels
from explorer.analyses.attribution.score import AttributionError, Channel, Class, Target
from explorer.counting import comparisons as contenders
from explorer.counting.budget import BudgetError
from explorer.pictures.images import SAMPLES, sample
from explorer.plots import attribution as plots
from explorer.plots import charts, mosaic
from explorer.plots.colours import paint
from explorer.running import weights

MOST_METHODS, MOST_NETWORKS = 6, 3
DEFAULT = "saliency.integrated_gradients.grad_cam"
NOISES = {"": "none", "smoothgrad": "SmoothGrad", "smoothgrad_sq": "SmoothGrad squared", "vargrad": "VarGrad"}
LARGE_DELTA = 0.05  # of the score's change
BARE = {"displayModeBar": False}

config, plan = session.config(), session.current_plan()
state = st.session_state


def kept(name: str, key: str, default: str, options: list[str]) -> str:
    """What the link says, where that can be; a control with this key shows it, and tells the link when it changes."""
    value = session.entry(name) or default
    value = value if value in options else default
    if state.get(key) != value:
        state[key] = value
    return value


def class_names() -> list[str]:
    return list(weights.categories(used)) or [f"class {i}" for i in range(config.classes)]


def whole(place: Any, name: str, label: str, most: int, about: str) -> int:
    """A number from 0 that stands in the link."""
    text = session.entry(name) or "0"
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= most else 0
    key = f"attribution.{name}"
    if state.get(key) != value:
        state[key] = value
    place.number_input(
        label,
        0,
        most,
        key=key,
        help=about,
        on_change=lambda: session.keep_entry(name, str(state[key]) if state[key] else None),
    )
    return value


def choose_target() -> Target:
    names = class_names()
    top = activations.answers(glance.logits)
    told = {answer.number: f"{names[answer.number]} ({answer.probability:.1%})" for answer in top}
    ranked = [*told, *(i for i in range(config.classes) if i not in told)]
    box = st.columns(3)
    numbers = [str(i) for i in ranked]

    def title(text: str) -> str:
        return told.get(int(text), names[int(text)]) if text else "nothing"

    number = kept("class", "attribution.class", numbers[0], numbers)
    box[0].selectbox(
        "Explain", numbers, format_func=title, key="attribution.class",
        on_change=lambda: session.keep_entry("class", state["attribution.class"] or None),
        help="The class whose score is explained: the top answers first, then all others. Type to search.",
    )  # fmt: skip
    minus = kept("minus", "attribution.minus", "", ["", *numbers])
    box[1].selectbox(
        "rather than", ["", *(n for n in numbers if n != number)], format_func=title, key="attribution.minus",
        on_change=lambda: session.keep_entry("minus", state["attribution.minus"] or None),
        help="Another class: then the difference of the two scores is explained.",
    )  # fmt: skip
    name = session.operation()
    channels = plan[name].shape[0] if name and plan[name].kind != "input" else 0
    channel = kept("channel", "attribution.channel", "", ["", *map(str, range(channels))])
    box[2].selectbox(
        "or a channel of the selected operation", ["", *map(str, range(channels))], key="attribution.channel",
        format_func=lambda text: f"{name}, channel {text}" if text else "none",
        on_change=lambda: session.keep_entry("channel", state["attribution.channel"] or None),
        help="Neuron attribution: the mean of one channel takes the class's place. Select it on another page.",
    )  # fmt: skip
    if channel and name:
        return Channel(name, int(channel))
    return Class(int(number), int(minus) if minus and minus != number else None)


def choose_methods() -> list[str]:
    wanted = [name for name in (session.entry("methods") or DEFAULT).split(".") if name in METHODS][:MOST_METHODS]
    if state.get("attribution.methods") != wanted:
        state["attribution.methods"] = wanted
    st.multiselect(
        "Methods", list(METHODS), format_func=lambda name: METHODS[name].title, max_selections=MOST_METHODS,
        key="attribution.methods", placeholder="Choose one to six",
        on_change=lambda: session.keep_entry("methods", ".".join(state["attribution.methods"]) or None),
        help="All are Captum's implementations, side by side.",
    )  # fmt: skip
    return wanted


def choose_settings() -> Choices:
    spatial = [op.name for op in plan.ops[1:] if min(op.shape[1:]) > 1]
    selected = session.operation()
    operation = selected if selected in spatial else default_operation(plan)
    kinds = list(baselines.TITLES)
    with st.expander(f"Settings of the methods · layer methods look at {operation or 'nothing'}"):
        box = st.columns(4)
        kind = kept("baseline", "attribution.baseline", "mean", kinds)
        box[0].selectbox(
            "Baseline", kinds, format_func=baselines.TITLES.__getitem__, key="attribution.baseline",  # type: ignore[arg-type]
            on_change=lambda: session.keep_entry("baseline", state["attribution.baseline"] or None),
            help="What stands for nothing there; what equals the baseline gets no attribution.",
        )  # fmt: skip
        other = None
        if kind == "image":
            own = session.visitor().pictures
            chosen = box[0].selectbox("The other image", [*own, *SAMPLES], index=len(own) + 1, key="attribution.other",
                                      format_func=lambda name: own[name].name if name in own else name)  # fmt: skip
            other = own[chosen] if chosen in own else sample(chosen)
        noise = kept("noise", "attribution.noise", "", list(NOISES))
        box[1].selectbox(
            "Smoothing", list(NOISES), format_func=NOISES.__getitem__, key="attribution.noise",
            on_change=lambda: session.keep_entry("noise", state["attribution.noise"] or None),
            help="NoiseTunnel over the gradient methods: the mean, mean square or variance over 20 noisy copies.",
        )  # fmt: skip
        steps = kept("steps", "attribution.steps", "50", STEPS)
        box[2].selectbox(
            "Steps", STEPS, key="attribution.steps",
            on_change=lambda: session.keep_entry("steps", state["attribution.steps"] or None),
            help="Of the path from baseline to image, for the integrated methods. More make the check's delta smaller.",
        )  # fmt: skip
        segments = kept("segments", "attribution.segments", "50", SEGMENTS)
        box[3].selectbox(
            "Superpixels", SEGMENTS, key="attribution.segments",
            on_change=lambda: session.keep_entry("segments", state["attribution.segments"] or None),
            help="Of Feature Ablation, LIME and Kernel SHAP: regions of similar colour (SLIC).",
        )  # fmt: skip
        relu = kept("relu", "attribution.relu", "on", ["on", "off"])
        box[0].segmented_control(
            "Grad-CAM's ReLU", ["on", "off"], key="attribution.relu", required=True,
            on_change=lambda: session.keep_entry("relu", state["attribution.relu"] or None),
            help="On: only what speaks for the class, as in the paper. Off: also what speaks against it.",
        )  # fmt: skip
        samples = whole(
            box[1], "samples", "Samples, 0: the method's own", 2000, "Of Gradient SHAP, LIME and Kernel SHAP."
        )
        seed = whole(box[2], "draw", "Seed", MOST_SEED, "Of the methods with chance in them.")
        if operation:
            if state.get("attribution.operation") != operation:
                state["attribution.operation"] = operation
            box[3].selectbox(
                "Operation", spatial, key="attribution.operation",
                on_change=lambda: session.select_operation(state["attribution.operation"]),
                help="What Grad-CAM, Layer Conductance and Internal Influence look at. Type to search.",
            )  # fmt: skip
    return Choices(kind, other, operation, relu == "on", int(steps), samples, int(segments), noise, seed)  # type: ignore[arg-type]


MOST_SEED = 2**31 - 1
STEPS = ["8", "16", "32", "50", "100", "200", "400"]
SEGMENTS = ["16", "25", "50", "100", "200"]


def with_progress(title: str, work: Callable[[Callable[[int, int], None]], Any]) -> Any:
    """Runs work that tells how far it is; the Stop button ends it where it tells that."""
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, f"{title} ...")
        st.button("Stop", icon=":material/stop:", key=f"stop.{title}", on_click=_stop)
    try:
        return work(lambda done, total: bar.progress(min(1.0, done / max(1, total)), f"{title}, {done} of {total}"))
    finally:
        place.empty()


def _stop() -> None:
    state["attribution.stopped"] = asked


def explain_missing(cells: list[tuple[Subject, Any, str]]) -> dict[tuple[Subject, str], str]:
    """Compute the maps that are not there yet, and return why some cannot be."""
    missing = [cell for cell in cells if not attributions.find(cell[0], target, cell[2], choices)]
    refused: dict[tuple[Subject, str], str] = {}
    if not missing:
        return refused
    total = sum(attributions.work(subject.config, method, choices) for subject, _, method in missing)
    ask = state.get("attribution.stopped") == asked or total > attributions.MOST_UNASKED
    place = st.empty()
    if ask and not place.button(f"Explain ({total / 1e9:,.0f} G MACs)", icon=":material/play_arrow:", type="primary"):
        return {(subject, method): "" for subject, _, method in missing}
    place.empty()
    for subject, its_network, method in missing:
        try:
            with_progress(
                METHODS[method].title if len(cells) == len(methods) else f"{subject.title}: {METHODS[method].title}",
                lambda told, s=subject, n=its_network, m=method: attributions.explain(n, s, target, m, choices, told),
            )
        except (AttributionError, BudgetError) as error:
            refused[subject, method] = str(error)
    return refused


def _size(subject: Subject) -> tuple[int, int]:
    return subject.config.input_size, subject.config.input_size


def show_map(subject: Subject, method: str, found: Attribution, reach: float | None, probability: str) -> None:
    chosen = METHODS[method]
    if not np.isfinite(found.map).all():
        st.info("The map is not finite: values overflowed on the way. A norm, or trained weights, would help.")
        return
    if chosen.channels:
        best = activations.strongest(found.map, 64)
        its = mosaic.reaches(found.map, each=False)[best]
        picture = mosaic.mosaic(found.map[best], its, found.signed, 500).picture
        scale, share = float(its[0]), 0.0
    else:
        flat = on_pixels(found.map, _size(subject))
        cut = clipped(flat)
        scale, share = reach or cut.reach, cut.share
        painted = paint(flat, scale, found.signed)
        seen = forwards.seen(subject.picture, subject.config, subject.used)
        picture = mosaic.overlay(seen, painted, state.get("attribution.opacity", 0.8))
    st.image(mosaic.data_url(picture), width="stretch")
    st.plotly_chart(charts.colour_scale(scale or 1.0, found.signed), key=f"scale.{subject.title}.{method}", config=BARE)
    explain_flat(found, scale)
    lines = [probability, subject.used.label]
    if found.operation:
        lines.append(found.operation + (", its 64 strongest channels" if chosen.channels else ""))
    if chosen.baseline != "none":
        lines.append(f"baseline: {baselines.TITLES[choices.baseline].lower()}")
    if chosen.noise and choices.noise:
        lines.append(NOISES[choices.noise])
    if share:
        lines.append(f"{share:.1%} of pixels beyond the scale")
    lines.append(f"{found.seconds:.2f} s")
    st.caption(" · ".join(lines))
    check_completeness(subject, method, found)
    if found.note:
        st.caption(f":material/info: {plain(found.note)}")
    with st.container(horizontal=True):
        st.download_button(
            "PNG", mosaic.png(picture), f"{method}.png", "image/png", on_click="ignore",
            key=f"png.{subject.title}.{method}",
        )  # fmt: skip
        st.download_button(
            "NPZ", lambda: npz(found, method), f"{method}.npz", "application/x-npz", on_click="ignore",
            key=f"npz.{subject.title}.{method}",
        )  # fmt: skip


def explain_flat(found: Attribution, reach: float) -> None:
    if reach == 0 and not found.note:
        st.caption(":material/info: The map is zero everywhere: nothing here changes the score.")
    elif found.signed and (found.map <= 0).all():
        st.caption(":material/info: All of it is negative: everything speaks against the target.")


def check_completeness(subject: Subject, method: str, found: Attribution) -> None:
    if found.delta is None:
        return
    change = float(found.map.sum()) - found.delta
    share = abs(found.delta) / abs(change) if change else float("inf")
    sentence = f"sums to {found.map.sum():.4g}, the score changes by {change:.4g}: delta {found.delta:.2g}"
    if share <= LARGE_DELTA:
        st.caption(f":material/check_circle: Complete: {sentence}")
        return
    st.caption(f":material/warning: **Not complete**: {sentence} ({share:.0%})")
    more = next((step for step in STEPS if int(step) > choices.steps), "")
    if more and method in ("integrated_gradients", "layer_conductance"):
        st.button(
            f"More steps: {more}",
            key=f"more.{subject.title}.{method}",
            on_click=session.keep_entry,
            args=("steps", more),
        )


def npz(found: Attribution, method: str) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, map=found.map, method=np.array(method), operation=np.array(found.operation))
    return file.getvalue()


def grid(rows: list[tuple[Subject, Any]]) -> None:
    cells = [(subject, its_network, method) for subject, its_network in rows for method in methods]
    refused = explain_missing(cells)
    for subject, _ in rows:
        found = {method: attributions.find(subject, target, method, choices) for method in methods}
        reach = None
        if state.get("attribution.scale") == "all":
            flats = [on_pixels(one.map, _size(subject)) for m, one in found.items() if one and not METHODS[m].channels]
            reach = max((clipped(np.nan_to_num(flat)).reach for flat in flats), default=0.0) or None
        if len(rows) > 1:
            st.markdown(f"**{plain(subject.title)}**")
        told = score_of(subject)
        # three in a row, so that a map stays as large as a hand
        for start in range(0, len(methods), 3):
            for column, method in zip(st.columns(3), methods[start : start + 3], strict=False):
                with column:
                    st.markdown(f"**{METHODS[method].title}**", help=METHODS[method].paper)
                    if one := found[method]:
                        show_map(subject, method, one, reach, told)
                    elif sentence := refused.get((subject, method)):
                        st.info(plain(sentence), icon=":material/block:")


def score_of(subject: Subject) -> str:
    if isinstance(target, Channel):
        return f"{target.operation}, channel {target.number}"
    names = class_names()
    here = glances.get(subject.title)
    if here is None:
        return names[target.number]
    logits = here.logits.astype(np.float64)
    with np.errstate(all="ignore"):
        powers = np.exp(logits - logits.max())
        probability = powers[target.number] / powers.sum()
    told = f"{names[target.number]} {probability:.1%}"
    return told if target.minus is None else f"{told} rather than {names[target.minus]}"


def truth() -> None:
    """Infidelity and sensitivity, deletion and insertion, and the randomisation check, of one map."""
    st.subheader("Is the map telling the truth?")
    candidates = [m for m in methods if not METHODS[m].channels and attributions.find(here, target, m, choices)]
    if not candidates:
        st.caption("Compute a map of the image's pixels first.")
        return
    if state.get("attribution.checked") not in candidates:
        state["attribution.checked"] = candidates[0]
    method = st.segmented_control(
        "Map", candidates, format_func=lambda name: METHODS[name].title, required=True, key="attribution.checked"
    )
    found = attributions.find(here, target, method, choices)
    assert found
    key = ("truth", *attributions.key_of(here, target, method, choices))
    cost = attributions.work(config, method, choices) * 20 + 200 * plan.macs
    if not attributions.known(key):
        place = st.empty()
        if not place.button(f"Check it ({cost / 1e9:,.0f} G MACs)", icon=":material/fact_check:"):
            return
        place.empty()
    image = attributions.prepared(here, network)
    settings = attributions.settings_of(here, image, method, choices)
    blurred = baselines.baseline("blurred", image, built.preparation(config, used))

    def check() -> tuple[Any, ...]:
        deleted = with_progress(
            "Deletion",
            lambda told: checks.deletion(network, image, target, found.map, settings.baseline, progress=told),
        )
        inserted = with_progress(
            "Insertion", lambda told: checks.insertion(network, image, target, found.map, blurred, progress=told)
        )
        infidelity = with_progress(
            "Infidelity",
            lambda told: checks.infidelity(network, image, target, method, found.map, settings.baseline, progress=told),
        )
        sensitivity = with_progress(
            "Maximum sensitivity",
            lambda told: checks.max_sensitivity(network, image, target, method, settings, progress=told),
        )
        randomised = with_progress(
            "Randomisation",
            lambda told: list(checks.randomisation(network, image, target, method, settings, progress=told)),
        )
        return deleted, inserted, infidelity, sensitivity, randomised  # fmt: skip

    deleted, inserted, infidelity, sensitivity, randomised = attributions.once(key, check)
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Deletion and insertion**")
        st.caption(
            "The strongest pixels give way to the baseline, or come into the blurred image: a good map falls fast and "
            "rises fast (Petsiuk et al., 1806.07421)."
        )
        y_title = "probability" if isinstance(target, Class) and target.minus is None else "score"
        st.plotly_chart(plots.deletion_and_insertion(deleted, inserted, y_title), key="attribution.curves", config=BARE)
        box = st.columns(2)
        box[0].metric(
            "Infidelity", f"{infidelity:.3g}",
            help="Mean squared error of the score's change that the map foretells under small noise; 0 is best "
            "(Yeh et al., 1901.09392).",
        )  # fmt: skip
        box[1].metric(
            "Maximum sensitivity", f"{sensitivity:.3g}",
            help="How far the map moves when every pixel moves by 0.02: the change's norm over the map's; 0 is best.",
        )  # fmt: skip
    with right:
        st.markdown("**Randomisation**")
        st.caption(
            "From the classifier down, stage by stage, weights are replaced by fresh ones. A map that stays the same "
            "shows the image and not what was learned (Adebayo et al., 1810.03292)."
        )
        st.plotly_chart(plots.randomisation(randomised), key="attribution.randomisation", config=BARE)
        if not used.trained:
            st.caption(":material/casino: These weights were never trained: there is nothing to unlearn.")
    stages = [("original", found), *((one.stage, one.attribution) for one in randomised)]
    for start in range(0, len(stages), 6):
        for column, (stage, one) in zip(st.columns(6), stages[start : start + 6], strict=False):
            flat = on_pixels(one.map, _size(here))
            picture = mosaic.resize(paint(np.nan_to_num(flat), clipped(np.nan_to_num(flat)).reach, one.signed), 160)
            column.image(mosaic.data_url(picture), caption=stage, width="stretch")


st.title("Attribution")
left, middle, right = st.columns([3, 2, 4], gap="medium")
with left:
    picture = pictures.chosen_picture()
network, used = built.current()
here = Subject("this network", config, used, picture)
glance = forwards.forward(network, config, used, picture, ())
glances = {here.title: glance}
with middle:
    seen = forwards.seen(picture, config, used)
    st.image(
        mosaic.data_url(seen),
        caption=f"What the network gets, {config.input_size}×{config.input_size}",
        width="stretch",
    )
with right:
    top = activations.answers(glance.logits)
    st.dataframe(
        pd.DataFrame({"answer": [class_names()[a.number] for a in top], "p": [100 * a.probability for a in top]}),
        hide_index=True,
        column_config={
            "answer": "Its top answers",
            "p": st.column_config.ProgressColumn("Probability", format="%.1f %%", max_value=100),
        },
    )
    st.caption(f"Weights: {used.label}")
if not used.trained:
    st.warning(
        "**Untrained weights:** these maps are pictures of the architecture, not of knowledge. Load trained weights in "
        "the sidebar.",
        icon=":material/casino:",
    )
target = choose_target()
methods = choose_methods()
choices = choose_settings()
asked = (here, target, tuple(methods), choices, session.against())
box = st.columns([2, 2, 3], vertical_alignment="bottom")
box[0].slider("Opacity of the map over the image", 0.0, 1.0, 0.8, 0.1, key="attribution.opacity")
box[1].segmented_control(
    "Scale", ["each", "all"], default="each", required=True, key="attribution.scale",
    help="Each map's own, or one for all maps of a network. A scale is cut where 98 % of the sum of magnitudes lies "
    "within, as Captum does.",
)  # fmt: skip
rows: list[tuple[Subject, Any]] = [(here, network)]
across = box[2].toggle(
    "Across networks", key="attribution.across",
    help="The same picture and class on up to three other networks. They have fresh weights: the rows compare "
    "architectures.",
)  # fmt: skip
if across:
    for key in choose_contenders(MOST_NETWORKS):
        one = contenders.find(key, config)
        if one:
            fresh = weights.fresh(0)
            its = built.fresh(one.config)
            subject = Subject(one.title, one.config, fresh, picture)
            glances[one.title] = forwards.forward(its, one.config, fresh, picture, ())
            rows.append((subject, its))
if methods:
    grid(rows)
    truth()
else:
    st.info("Choose at least one method.")
