"""A sweep as a file that somebody writes: TOML, or the same as JSON.

title = "growth rates"
network = "densenet_bc100_12_cifar"     # a preset, or a table as `explorer export --format json` writes it
data = "shapes"                         # with `images`, `recipe`, `device`, `threads`, `most_seconds` as well
fit = true                              # change the network so that it fits the data
seeds = 3                               # 0, 1, 2; or a list of them
set = { epochs = 12, blocks = "4-4-4" } # for all trials; of the network, the recipe or the run

sample = 20                             # so many combinations, drawn at random by `draw`; without it all of them
budget = { seconds = 3600 }             # of training, of all trials together; or { gpu_hours = 8 }
early = { grace = 4, factor = 3 }       # ASHA

[turn]                                  # every combination of these
growth_rate = [4, 8, 12]
learning_rate = [0.05, 0.1]             # with `sample` also { from = 0.001, to = 1, log = true }

[[parts]]                               # several networks: each has what stands above, and its own
name = "ResNet"
network = "resnet20_cifar"
turn = { width = [4, 8, 16] }
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from explorer.families import PRESETS, TITLES, Config, describe, family_of, known_as, parse
from explorer.families.knobs import shown
from explorer.learning import datasets
from explorer.learning.job import LONGEST_TITLE, Job
from explorer.learning.recipe import QUICK, RECIPES, Recipe
from explorer.learning.sweeps.sweep import MOST_SEEDS, Early, Part, Range, Sweep, SweepError, Values
from explorer.wording import clean

MOST_BYTES = 2**20
MOST_PARTS = 200
OF_A_PART = ("name", "network", "data", "images", "recipe", "device", "threads", "most_seconds", "fit", "set", "turn")
OF_A_SWEEP = ("title", "seeds", "sample", "draw", "budget", "early", "parts")
HOUR = 3600

T = TypeVar("T")


def read(path: Path, device: str = "cpu") -> Sweep:
    """The sweep of a file; `device` is where its trials are trained unless it says so. Raises SweepError, and
    ConfigError, JobError or DataError for what cannot be.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SweepError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if len(data) > MOST_BYTES:
        raise SweepError(f"{path} has more than {MOST_BYTES:,} bytes")
    try:
        text = data.decode()
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except UnicodeDecodeError:
        raise SweepError(f"{path} is no text") from None
    except tomllib.TOMLDecodeError as error:
        raise SweepError(f"{path} is not TOML: {clean(str(error), 200)}") from None
    except (ValueError, RecursionError):
        raise SweepError(f"{path} is not JSON") from None
    return of_table(found, path.stem, device)


def of_table(found: Any, name: str = "", device: str = "cpu") -> Sweep:
    """`name` is the title of one that has none. Raises as `read`."""
    _refuse_others(found, (*OF_A_SWEEP, *OF_A_PART), "a sweep")
    shared = {key: value for key, value in found.items() if key in OF_A_PART}
    parts = found.get("parts", [{}])
    if not isinstance(parts, list) or not 1 <= len(parts) <= MOST_PARTS:
        raise SweepError(f"parts: a list of 1 to {MOST_PARTS} tables")
    return Sweep(
        title=_given(found, "title", str, name)[:LONGEST_TITLE],
        parts=tuple(_part(shared, part, device, len(parts)) for part in parts),
        seeds=_seeds(found.get("seeds", 1)),
        sample=_whole(found, "sample"),
        draw=_whole(found, "draw"),
        budget=_budget(found.get("budget", {})),
        early=_early(found["early"]) if found.get("early") else None,
    )


def to_table(sweep: Sweep) -> dict[str, Any]:
    """What `of_table` makes the same sweep of."""
    return {
        "title": sweep.title,
        "seeds": list(sweep.seeds),
        "sample": sweep.sample,
        "draw": sweep.draw,
        "budget": {"seconds": sweep.budget} if sweep.budget else {},
        "early": {"grace": sweep.early.grace, "factor": sweep.early.factor} if sweep.early else {},
        "parts": [_part_table(part) for part in sweep.parts],
    }


def _part_table(part: Part) -> dict[str, Any]:
    job = part.job
    return {
        "name": part.name,
        "network": job.config.model_dump(),
        "data": job.data,
        "images": job.images,
        "recipe": job.recipe.model_dump(),
        "device": job.device,
        "threads": job.threads,
        "most_seconds": job.most_seconds,
        "turn": {name: _values_table(values) for name, values in part.turned.items()},
    }


def _values_table(values: Values) -> Any:
    if isinstance(values, Range):
        return {"from": values.low, "to": values.high, "log": values.log}
    return list(values)


def _part(shared: Mapping[str, Any], own: Any, device: str, count: int) -> Part:
    _refuse_others(own, OF_A_PART, "a part")
    given = dict(shared) | dict(own)
    for name in ("set", "turn"):  # a part's come to those of all
        given[name] = _given(shared, name, dict, {}) | _given(own, name, dict, {})
    if "network" not in given:
        raise SweepError('network: say which, as in network = "resnet20_cifar"')
    config = _network(given["network"])
    job = Job(
        config,
        _given(given, "data", str, "shapes"),
        _recipe(given.get("recipe", QUICK)),
        images=_whole(given, "images"),
        device=_given(given, "device", str, device),
        threads=_whole(given, "threads", 1),
        most_seconds=_whole(given, "most_seconds"),
    )
    if _given(given, "fit", bool, False):
        source = datasets.find(job.data)
        if source.misfits(config):
            job = replace(job, config=config.adapt(**source.fit(config)))
    job = job.turned({str(name): _word(value, str(name)) for name, value in given["set"].items()})
    turned = {str(name): _values(value, str(name)) for name, value in given["turn"].items()}
    return Part(_given(given, "name", str, _title(job.config) if count > 1 else "")[:LONGEST_TITLE], job, turned)


def _title(config: Config) -> str:
    known = known_as(config)
    return TITLES[known] if known else family_of(config).title


def _network(given: Any) -> Config:
    if isinstance(given, dict):
        return parse(given)
    if isinstance(given, str) and given in PRESETS:
        return PRESETS[given]
    raise SweepError(f"network={shown(given)}: a preset's name, as `explorer presets` lists them, or a table of knobs")


def _recipe(given: Any) -> Recipe:
    if isinstance(given, dict):
        return Recipe.parse(given)
    if isinstance(given, str) and given in RECIPES:
        return RECIPES[given].recipe
    raise SweepError(f"recipe={shown(given)}: one of {', '.join(RECIPES)}, or a table of knobs")


def _values(given: Any, name: str) -> Values:
    if isinstance(given, dict):
        _refuse_others(given, ("from", "to", "log"), f"the range of {name}")
        ends = [given[end] for end in ("from", "to") if type(given.get(end)) in (int, float)]
        if len(ends) < 2:
            raise SweepError(f"{name}: a range is written {{ from = 0.01, to = 1, log = true }}")
        return Range(float(ends[0]), float(ends[1]), _given(given, "log", bool, False))
    if not isinstance(given, list):
        raise SweepError(f"{name}={shown(given)}: give a list of values, or a range")
    return tuple(_word(value, name) for value in given)


def _word(value: Any, name: str) -> str:
    """As a link writes it."""
    if isinstance(value, list) and all(isinstance(entry, int | float) for entry in value):
        return describe(tuple(value))
    if isinstance(value, str | int | float | bool):
        return describe(value)
    raise SweepError(f"{name}={shown(value)}: no value of a knob")


def _seeds(given: Any) -> tuple[int, ...]:
    seeds = list(range(given)) if type(given) is int and 0 <= given <= MOST_SEEDS else given
    if not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds):
        raise SweepError(f"seeds={shown(given)}: how many, up to {MOST_SEEDS}, or a list of them")
    return tuple(seeds)


def _budget(given: Any) -> float:
    if type(given) in (int, float):
        given = {"seconds": given}
    _refuse_others(given, ("seconds", "gpu_hours"), "a budget")
    found = [given.get("seconds", 0), HOUR * given["gpu_hours"] if "gpu_hours" in given else 0]
    if len(given) > 1 or not all(type(value) in (int, float) for value in found):
        raise SweepError("budget: either { seconds = 3600 } or { gpu_hours = 8 }")
    return float(sum(found))


def _early(given: Any) -> Early:
    _refuse_others(given, ("grace", "factor"), "early stopping")
    return Early(_whole(given, "grace", Early.grace), _whole(given, "factor", Early.factor))


def _whole(found: Mapping[str, Any], name: str, usual: int = 0) -> int:
    return _given(found, name, int, usual)


def _given(found: Mapping[str, Any], name: str, kind: type[T], usual: T) -> T:
    value = found.get(name, usual)
    if type(value) is not kind:
        words: dict[type, str] = {str: "a text", int: "a whole number", bool: "true or false", dict: "a table"}
        raise SweepError(f"{name}={shown(value)}: {words[kind]}")
    return value


def _refuse_others(found: Any, known: tuple[str, ...], what: str) -> None:
    """Raises SweepError for what is no table, or has words that nothing reads: a knob in the wrong place, say."""
    if not isinstance(found, dict):
        raise SweepError(f"{what[:1].upper()}{what[1:]} is written as a table, and not as {shown(found)}")
    for name in found:
        if name not in known:
            raise SweepError(f"{clean(str(name))!r} is not known of {what}; there are {', '.join(known)}")
