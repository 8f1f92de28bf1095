"""Each layer of a DenseNet reads all earlier ones of its block (Huang et al., 1608.06993)."""

from controls.stories.story import Step, Story

TRAINED = {"network": "densenet_bc40_12_cifar", "weights": "shapes"}

STORY = Story(
    "What does a dense layer reuse?",
    (
        Step(
            "Architecture",
            TRAINED,
            "A dense layer adds k = 12 channels, and everything before it stays: joins are concats, not sums. In "
            "the first block they grow from 24 channels to 96.",
            "Light blue: what each layer gathers, in proportion to its channels.",
        ),
        Step(
            "Architecture",
            TRAINED,
            "How much each layer adds is the growth rate k. Twice as much makes all layers wider, and what they "
            "read too: 176,122 parameters become 657,730.",
            "Drag Growth rate k in the sidebar to 24.",
        ),
        Step(
            "Gradient flow",
            TRAINED | {"view": "feeds", "batch": "2"},
            "After training on Shapes, does a layer still read the early ones? Yes: each row has weights on all its "
            "sources. In figure 5 of the paper, too, deep layers use early features.",
            "The right matrix: old sources are on the left.",
        ),
        Step(
            "Feature maps",
            TRAINED | {"op": "features.denseblock1.denselayer6.concat"},
            "What the sixth layer gets: 84 channels, and the first 24 are still the stem's, unchanged. Edges found "
            "once need not be found again.",
            "Its channels, from old to new: the stem's fill the first two rows.",
            heading="One operation",
        ),
        Step(
            "Architecture",
            {"network": "resnet44_cifar"},
            "A residual network adds instead, so each layer writes all its channels anew. ResNet-44, about as deep,"
            " has 658,586 parameters; DenseNet-BC-40 has 176,122.",
            "Parameters and MACs, and nodes that keep their height.",
        ),
    ),
)
