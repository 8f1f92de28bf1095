"""The weights that come with the project: which networks, by which recipe, and how they are made again.

    python -m explorer.learning.project [--folder FOLDER] [network ..]     # `make weights`

Each is an ordinary run, which goes on where it was stopped; its weights are then put beside the library's code.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType

import safetensors.torch

from explorer.families import PRESETS, plan
from explorer.learning import checkpoint, datasets, results, runs, worker
from explorer.learning.job import Job, versions
from explorer.learning.recipe import QUICK, RECIPES
from explorer.learning.runs import Run, RunError
from explorer.running import project_weights, weights
from explorer.running.card import to_metadata
from explorer.running.checkpoints import on_disk
from explorer.running.network import blank

DATA = "shapes"
# a preset -> knobs of its recipe, beside those of all
NETWORKS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"resnet20_cifar": {}, "plain20_cifar": {}, "densenet_bc40_12_cifar": {}, "cliquenet_k12_t12": {}}
)
COMMON = MappingProxyType({"precision": "bfloat16"})


def job_of(network: str) -> Job:
    return Job(PRESETS[network], DATA, RECIPES[QUICK].recipe).turned(COMMON | NETWORKS[network])


def command_of(network: str) -> str:
    """The command that trains it, as anybody can run it."""
    knobs = " ".join(f"--set {name}={shlex.quote(value)}" for name, value in (COMMON | NETWORKS[network]).items())
    return f"explorer train DIR --network {network} --data {DATA} {knobs}"


def publish(run: Run, network: str, folder: Path) -> Path:
    """Put a finished run's weights where the project's are. Raises RunError for one that has not finished."""
    if runs.status(run.path).state != "finished":
        raise RunError(f"{run.title} has not finished: {runs.status(run.path).message}")
    accuracy = results.accuracy(runs.predictions(run.path))
    recipe, source = run.job.recipe, datasets.find(run.job.data)
    about = project_weights.About(
        data=source.name,
        title=source.title,
        accuracy=accuracy.share,
        test_images=accuracy.count,
        recipe=f"{recipe.epochs} epochs of {run.job.images or source.images[0]:,} images, {recipe.optimizer}, "
        f"{recipe.schedule} to {recipe.learning_rate:g}, {recipe.precision}",
        command=command_of(network),
        date=date.today().isoformat(),
        versions=versions(),
    )
    with on_disk(run.path / runs.CHECKPOINT) as data:
        state = weights.read_checkpoint(data, runs.CHECKPOINT, blank(plan(run.job.config)).state_dict())
    metadata = {
        "format": "pt",
        project_weights.ABOUT: json.dumps(about._asdict()),
        **to_metadata(checkpoint.read(run).card, run.job.config),
    }
    path = folder / f"{network}-{source.name}.safetensors"
    runs.write_whole(path, safetensors.torch.save(state, metadata))
    return path


def make(network: str, folder: Path) -> Path:
    """Train it, in a run's directory in `folder`, and publish it."""
    path = folder / network
    if not (path / runs.CONFIG).exists():
        runs.create(job_of(network), path)
    worker.train(path)
    return publish(runs.read(path), network, project_weights.FOLDER)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m explorer.learning.project", description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="network", help="of the project's; all of them, unless named")
    parser.add_argument("--folder", type=Path, default=Path("artefacts", "weights"), help="where the runs are")
    arguments = parser.parse_args(words)
    if wrong := [name for name in arguments.networks if name not in NETWORKS]:
        parser.error(f"{wrong[0]!r} is none of {', '.join(NETWORKS)}")
    for network in arguments.networks or NETWORKS:
        print(make(network, arguments.folder.absolute()))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
