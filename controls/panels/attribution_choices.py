"""What is explained, by which methods, and how they are set."""

from collections.abc import Sequence

import streamlit as st

from controls import session
from controls.choices import OneOf, Place, SeveralOf, Switch, Whole
from controls.panels import picture as pictures
from controls.panels.operation import choose_operation
from explorer.analyses.activations import Answer
from explorer.analyses.attribution.attribute import default_operation, with_positions
from explorer.analyses.attribution.baselines import TITLES, Baseline
from explorer.analyses.attribution.method import Noise, Precision
from explorer.analyses.attribution.methods import FIRST, METHODS
from explorer.analyses.attribution.request import Options, compared
from explorer.analyses.attribution.score import Channel, Class, Target
from explorer.learning.precision import fastest
from explorer.pictures.reading import Picture
from explorer.plan import Plan

SMOOTHINGS: dict[Noise, str] = {
    "": "none",
    "smoothgrad": "SmoothGrad",
    "smoothgrad_sq": "SmoothGrad squared",
    "vargrad": "VarGrad",
}

CLASS = OneOf("class", 0)
MINUS = OneOf[int | None]("minus", None)
CHANNEL = OneOf[int | None]("channel", None)
CHOSEN = SeveralOf("methods", FIRST, tuple(METHODS), most=6)
BASELINE = OneOf[Baseline]("baseline", "mean", tuple(TITLES))
OTHER = OneOf("other", "Coffee")
SMOOTHING = OneOf[Noise]("noise", "", tuple(SMOOTHINGS))
STEPS = OneOf("steps", 50, (8, 16, 32, 50, 100, 200, 400))
SUPERPIXELS = OneOf("segments", 50, (16, 25, 50, 100, 200))
SAMPLES = Whole("samples", 0, most=2000)
SEED = Whole("draw", 0, most=session.MOST_SEED)
RELU = Switch("relu", True)
PRECISION = OneOf[Precision]("precision", "float32", ("float32", "bfloat16"))


def choose_target(plan: Plan, names: Sequence[str], answers: Sequence[Answer], operation: str | None) -> Target:
    """A class, perhaps rather than another, or a channel of the selected operation. `answers` are the most probable."""
    probable = {answer.number: f"{names[answer.number]} ({answer.probability:.1%})" for answer in answers}
    ranked = [*probable, *(i for i in range(len(names)) if i not in probable)]

    def title(number: int | None) -> str:
        return "nothing" if number is None else probable.get(number, names[number])

    box = st.columns(3)
    number = CLASS.select(
        box[0],
        "Explain",
        ranked,
        ranked[0],
        title,
        help="The class whose score is explained: the top answers first, then all others. Type to search.",
    )
    minus = MINUS.select(
        box[1],
        "rather than",
        [None, *(other for other in ranked if other != number)],
        title=title,
        help="Another class: then the difference of the two scores is explained.",
    )
    channels = plan[operation].shape[0] if operation and plan[operation].kind != "input" else 0
    channel = CHANNEL.select(
        box[2],
        "or a channel of the selected operation",
        [None, *range(channels)],
        title=lambda channel: "none" if channel is None else f"{operation}, channel {channel}",
        help="Neuron attribution: the mean of one channel takes the class's place. Select it on another page.",
    )
    return Class(number, minus) if operation is None or channel is None else Channel(operation, channel)


def choose_methods() -> tuple[str, ...]:
    return CHOSEN.select(
        st,
        "Methods",
        title=lambda name: METHODS[name].title,
        placeholder="Choose one to six",
        help="Captum's implementations, side by side. Where one departs from Captum's, its question mark says how.",
    )


def choose_options(plan: Plan, selected: str | None) -> Options:
    """What the methods can be told. `selected` is the operation that is selected on whatever page."""
    names = with_positions(plan)
    operation = selected if selected in names else default_operation(plan)
    with st.expander(f"Settings of the methods · layer methods look at {operation or 'nothing'}"):
        box = st.columns(4)
        kind = BASELINE.select(
            box[0],
            "Baseline",
            title=TITLES.__getitem__,
            help="What stands for nothing there; what equals the baseline gets no attribution.",
        )
        other = choose_other(box[0]) if kind == "image" else None
        noise = SMOOTHING.select(
            box[1],
            "Smoothing",
            title=SMOOTHINGS.__getitem__,
            help="NoiseTunnel over the gradient methods: the mean, mean square or variance over 20 noisy copies.",
        )
        steps = STEPS.select(
            box[2],
            "Steps",
            help="Of the path from baseline to image, for the integrated methods. More make the check's delta smaller.",
        )
        superpixels = SUPERPIXELS.select(
            box[3],
            "Superpixels",
            help="Of Feature Ablation, LIME and Kernel SHAP: regions of similar colour (SLIC).",
        )
        samples = SAMPLES.number(box[1], "Samples, 0: the method's own", help="Of Gradient SHAP, LIME and Kernel SHAP.")
        seed = SEED.number(box[2], "Seed", help="Of the methods with chance in them.")
        if operation:
            choose_operation(
                box[3], plan, names, operation, "What Grad-CAM, Layer Conductance and Internal Influence look at."
            )
        precision = choose_precision(box[0])
        relu = RELU.toggle(
            box[0],
            "Grad-CAM's ReLU",
            help="On: only what speaks for the class, as in the paper. Off: also what speaks against it.",
        )
    return Options(compared(kind, other, seed), operation, relu, steps, samples, superpixels, noise, seed, precision)


def choose_precision(at: Place) -> Precision:
    # by what the device says: on a CPU with the instructions half of the time was measured, see `Method.half`
    quicker = fastest(session.device()) == "bfloat16"
    here = "about twice as quick" if quicker else "not quicker here: the device has no instructions for it"
    *others, last = [method.title for method in METHODS.values() if method.half]
    return PRECISION.select(
        at,
        "Precision",
        help=f"bfloat16: {', '.join(others)} and {last} in 16 bits, {here}. Maps hardly change on the project's "
        "trained networks (cosine 0.97 or more), and much on an untrained ResNet-50 (0.2). All other methods stay in "
        "float32, also those that take parts of the image away: small differences would drown.",
    )


def choose_other(at: Place) -> Picture:
    """The image that is the baseline."""
    titles = pictures.titles()
    return pictures.named(OTHER.select(at, "The other image", list(titles), title=titles.__getitem__))
