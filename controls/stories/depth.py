"""Depth hurts a plain network, and not because its gradient vanishes (He et al., 1512.03385)."""

from controls.stories.story import Step, Story

# few images: a page measures by itself only what takes a moment
FEW = {"batch": "2"}
# Minutes, and no matter of luck: with each of three seeds Plain-56 came to less than 40 % of the test images, and
# ResNet-56 to more than 98 %.
DIGITS = {
    "input_size": "16",
    "data": "digits",
    "train_epochs": "6",
    "train_batch_size": "64",
    "train_learning_rate": "0.02",
}

STORY = Story(
    "Why did the 56-layer network fail?",
    (
        Step(
            "Architecture",
            {"network": "plain56_cifar"},
            "Plain-56 is a chain of 56 layers. On CIFAR-10 its training error stays above that of 20 layers (He et "
            "al., 1512.03385, figure 1). So it does not overfit: it is harder to train.",
            "One way through the drawing, and no arc.",
        ),
        Step(
            "Gradient flow",
            {"network": "plain56_cifar", "against": "resnet56_cifar", **FEW},
            "Does its gradient vanish? No: batch norm keeps it alive, as the paper says (section 4.1). In the fresh"
            " Plain-56 it even grows some 25,000-fold toward the input; with shortcuts 46-fold.",
            "The two verdicts, and the lines below them: the input is on the left.",
        ),
        Step(
            "Gradient flow",
            {"network": "resnet56_cifar", "view": "shortcuts", **FEW},
            "Each shortcut hands the gradient on as it is: on average 66% comes that way, past the block. So the "
            "network acts as a sum of many paths, and the short ones carry most (Veit et al., 1605.06431).",
            "The shortcut's part of each bar.",
        ),
        Step(
            "Architecture",
            {"network": "resnet56_cifar"},
            "The same 56 layers with 27 shortcuts, which have no parameters: there are 853,018, as in Plain-56. "
            "This one learns: 6.97% test error on CIFAR-10 (table 6 of the paper).",
            "The arcs, counted below the drawing.",
        ),
        Step(
            "Training",
            {"network": "plain56_cifar", **DIGITS},
            "Try it: six epochs on small digits are ready. When Plain-56 has run, turn Shortcut in the sidebar from "
            "none to A, and train that: the same layers, data and recipe.",
            "Train, and then the training error of both runs.",
        ),
    ),
)
