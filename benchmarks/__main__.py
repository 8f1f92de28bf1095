"""`python -m benchmarks [question ..] [--quick]`: one table or more for each question; without a name, all."""

import argparse
import importlib
import os
import platform
import sys

from benchmarks.measure import show

QUESTIONS = {
    "planning": "How long does it take to write a plan, and to count a network with other tools?",
    "forward": "Is a network built from a plan as fast as one written by hand, and what does keeping tensors cost?",
    "sessions": "Do two sessions on one network get in each other's way?",
    "reruns": "How long is the server busy when a slider moves?",
    "many": "How long do 50 and 100 visitors wait who turn a knob at the same time?",
    "beside": "What does a visitor who turns a slider notice of others' heavy work, and when does that end?",
    "soak": "Does the memory come back of visitors who come, use the pages and go, for a quarter of an hour?",
    "gpu": "On a GPU: how fast are forward passes, attribution and training, and two visitors at once?",
    "memory": "Are the estimates of memory right?",
    "design": "How long do the drawing, the curves under the sliders and the search take?",
    "gradients": "What does measuring the gradient flow cost beyond the forward and backward passes?",
    "attribution": "What does attribution cost beyond Captum's own calls, and beyond the passes that it needs?",
    "browser": "What does a visitor wait for in a browser: the first picture, and the drawing after a slider?",
    "landscape": "How long does a plane of the loss take, and what do folded norms save?",
    "sweeps": "What does a sweep cost beside its trials: on Ray, in what is left behind, on its page, in its driver?",
    "training": "Is a run as fast as a bare loop, and what does a visitor notice of it?",
}


def main() -> None:
    lines = "\n".join(f"  {name:<12}{question}" for name, question in QUESTIONS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"{__doc__}\n\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("questions", nargs="*", metavar="question", help="all of them, unless named")
    parser.add_argument("--quick", action="store_true", help="fewer repeats, rougher numbers")
    arguments = parser.parse_args()
    for name in arguments.questions:
        if name not in QUESTIONS:
            parser.error(f"{name!r} is no question; there are {', '.join(QUESTIONS)}")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; load before: {load}")
    print("Contenders take turns (A B, B A, ..), so that whatever else the machine does meets all of them alike. Times")
    print("are medians; a ratio is the median of the rounds' ratios, and in brackets the middle half of the rounds.")
    for name in arguments.questions or QUESTIONS:
        print(f"\n\n{name}: {QUESTIONS[name]}")
        sys.stdout.flush()
        for table in importlib.import_module(f"benchmarks.{name}").tables(arguments.quick):
            show(table)


if __name__ == "__main__":
    main()
