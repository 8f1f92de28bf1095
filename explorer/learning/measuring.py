"""How fast would a job learn here? Its first steps on made-up images, in a process as a worker's.

python -m explorer.learning.measuring < config.json        # prints images per second, for each job on a line
"""

import sys
import time

import numpy as np
import torch

from explorer.families import plan
from explorer.learning import datasets, line, session
from explorer.learning.datasets import Dataset, Split
from explorer.learning.job import Job, of_json
from explorer.learning.training import Training
from explorer.running.network import build

SECONDS = 1.0  # of steps that count
MOST_MACS = 2e10  # of a step: a large network is measured on a smaller batch


def images_per_second(job: Job) -> float:
    """By at least three steps, the first of which does not count."""
    config, network = job.config, plan(job.config)
    count = int(max(2, min(job.recipe.batch_size, MOST_MACS // max(1, 3 * network.macs))))
    shape = (count, config.channels, config.input_size, config.input_size)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    split = Split(pixels, np.arange(count, dtype=np.int64) % config.classes)
    made_up = Dataset(datasets.find(job.data), split, split, (0.5,) * config.channels, (0.25,) * config.channels)
    recipe = job.recipe.replace(epochs=1000, batch_size=count, learning_rate=1e-6)
    training = Training(build(network), made_up, recipe, job.device)
    float(training.step().loss)
    began, steps = time.perf_counter(), 0
    while steps < 2 or time.perf_counter() - began < SECONDS:
        float(training.step().loss)  # waits until it is done
        steps += 1
    return steps * count / (time.perf_counter() - began)


def main() -> None:
    line.give_way()
    for text in sys.stdin:
        job = of_json(text)
        session.settle(job.device, job.threads)
        with torch.random.fork_rng(devices=[]):
            print(images_per_second(job), flush=True)


if __name__ == "__main__":
    main()
