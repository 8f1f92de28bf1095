"""By which ways does the gradient come: through shortcuts, from which readers, along how long paths?"""

import streamlit as st

from controls.choices import OneOf
from controls.panel import panel
from controls.panels.gradient_lines import SAVED
from explorer.analyses import flow_reading, gradients
from explorer.analyses.gradients import Matrix, Routes
from explorer.analyses.paths import Paths
from explorer.plots import gradients as plots

STAGE = OneOf("stage", "")
SCALE = OneOf("part", "share", ("share", "norm"))


@panel
def shortcut_share(routes: Routes) -> None:
    """How the gradient at each residual block's input splits between shortcut and branch."""
    splits = gradients.splits(routes)
    if not splits:
        st.info("This network has no residual blocks, so nothing is shared out: its gradient has one way.")
        return
    st.caption(
        "The gradient at a block's input is what came through the shortcut plus what came through the branch. Bars are "
        "each one's part along the whole, so that they add up to 100 %; a part below zero works against the other."
    )
    st.plotly_chart(
        plots.shortcut_shares(splits),
        key="flow.shares",
        alt="Bars: of each block's gradient, the part of the shortcut and that of the branch",
        config=SAVED,
    )
    shares = flow_reading.shortcut_shares(splits)
    st.markdown(
        f"The shortcut carries {shares.mean:.0%} on average: {shares.first:.0%} in the first block, "
        f"{shares.last:.0%} in the last."
    )


@panel
def who_feeds_whom(routes: Routes, reuse: tuple[Matrix, ...], trained: bool) -> None:
    """Gradient and weights between the layers of a dense or a clique stage, side by side."""
    fed, read = ({one.stage: one for one in found} for found in (gradients.feeds(routes), reuse))
    if not fed:
        st.info("In this network a block is read by the next one alone; a DenseNet or a CliqueNet has more to show.")
        return
    box = st.columns([3, 2])
    stage = STAGE.segments(box[0], "Stage", list(fed))
    scale = SCALE.segments(
        box[1],
        "Gradient as",
        help="Share: of all that a source receives, so that each column adds up to 100 %. Norm: columns add up to the "
        "norm of the source's gradient.",
    )
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Gradient**")
        st.caption("What each source receives through each reader, along its whole gradient. Columns add up.")
        one = fed[stage].shares if scale == "share" else fed[stage]
        st.plotly_chart(
            plots.matrix(one, scale, signed=True, share=scale == "share"),
            key="flow.feeds",
            alt="Matrix: the gradient that each source receives through each reader",
            config=SAVED,
        )
    with right:
        st.markdown("**Weights**")
        st.caption(
            "Mean absolute weight of a reader's first convolution on a source's channels, as in the DenseNet paper's "
            "figure 5" + ("." if trained else ", untrained: all alike but for chance.")
        )
        if stage in read:
            st.plotly_chart(
                plots.matrix(read[stage], "mean |w|", signed=False),
                key="flow.reuse",
                alt="Matrix: the mean absolute weight of each reader on each source",
                config=SAVED,
            )


@panel
def path_lengths(found: Paths) -> None:
    """Through how many branches the paths lead that carry the gradient."""
    st.caption(
        "A network of n residual blocks is also a sum over 2ⁿ paths, each of which takes some branches and passes the "
        "others by. Sampled on the way back, as in Veit et al. (1605.06431): in the blocks drawn the gradient takes "
        "the branch alone, in all others the shortcut alone."
    )
    st.plotly_chart(
        plots.path_lengths(found), key="flow.paths", alt="Lines: paths and gradient by the paths' length", config=SAVED
    )
    if len(found.lengths) <= found.blocks:
        st.caption(
            f"{len(found.lengths)} lengths were sampled, by {found.gradient.shape[1]} paths (dots) each. What lengths "
            "between them carry is read off a straight line between their neighbours, on the logarithmic scale."
        )
    st.markdown(
        f"{found.blocks} blocks make 2^{found.blocks} paths, most of them about {found.usual_length:g} branches "
        f"long; the gradient comes through paths of **{found.mean_length:.1f}** branches on average."
    )
