"""A clique's layers are computed twice, by the same kernels (Yang et al., 1802.10419)."""

from controls.stories.story import Step, Story

TRAINED = {"network": "cliquenet_k12_t12", "weights": "shapes"}

STORY = Story(
    "What does the second pass change?",
    (
        Step(
            "Architecture",
            TRAINED,
            "In a clique every two layers feed each other. That takes two passes: the first goes from layer to "
            "layer, the second computes each layer anew from all the others.",
            "Two lanes in each block: the second pass is below.",
        ),
        Step(
            "Architecture",
            {"network": "cliquenet_k12_t12", "block_feature": "first", "transit": "first"},
            "The same network without its second pass has 104,346 parameters and 50,119,648 MACs; with it 128,538 "
            "and 71,021,536. MACs grow by 42%, parameters by 23%: the passes share kernels.",
            "The costs, and the lane that is gone.",
        ),
        Step(
            "Gradient flow",
            TRAINED | {"view": "feeds", "batch": "2"},
            "Who reads whom, after training on Shapes? The first pass reads only what is before it; in the second, "
            "earlier layers read later ones too.",
            "Row second 1: it reads first 2, 3 and 4.",
        ),
        Step(
            "Feature maps",
            TRAINED,
            "One layer's channels after each pass, and what the second changed: red is more, blue less, white the "
            "same. This CliqueNet is right on 97.8% of 2,000 test images, says the sidebar.",
            "The three pictures, and their one scale.",
            heading="First pass, second pass",
        ),
        Step(
            "Training",
            {"network": "cliquenet_k12_t12", "block_feature": "first", "transit": "first"},
            "Would one pass do? Here is the network without its second, with the data and the recipe by which the "
            "other came to 97.8%. Train it, and compare.",
            "Train, and then its accuracy on test images.",
        ),
    ),
)
