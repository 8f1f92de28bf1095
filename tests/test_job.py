"""Jobs: as JSON and back, with knobs turned as a command line does, and from files that somebody spoilt."""

import json

import pytest

from explorer.errors import ExplorerError
from explorer.families import PRESETS, ConfigError
from explorer.learning import job as jobs
from explorer.learning import runs
from explorer.learning.job import Job, JobError, of_json
from explorer.learning.recipe import Recipe

NETWORK = PRESETS["resnet20_cifar"]
JOB = Job(NETWORK, "digits", Recipe())


def turned(**changes):
    return JOB.turned({name: str(value) for name, value in changes.items()})


def spoilt(path, value):
    """The job's JSON with another value at a path of names."""
    found = json.loads(JOB.to_json())
    *folders, last = path.split(".")
    place = found
    for name in folders:
        place = place[name]
    place[last] = value
    return json.dumps(found)


# -- JSON --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet20_cifar", "densenet121", "cliquenet_s3_attention", "vgg16_bn"])
def test_json_and_back(name):
    job = Job(
        PRESETS[name],
        "cifar10",
        Recipe(seed=7, schedule="steps", augmentation="flip and crop", learning_rate=0.1234567890123),
        images=500,
        device="cuda:1",
        threads=3,
        most_seconds=60,
        tensorboard=True,
        title="mine — für mich",
        owner="abc",
    )
    back = of_json(job.to_json())
    assert back == job
    assert (back.title, back.owner) == (job.title, job.owner)


def test_what_is_written_has_the_parts_that_people_look_for():
    found = json.loads(turned(seed=5, images=300).to_json())
    assert found["network"]["family"] == "resnet"
    assert found["data"] == {"name": "digits", "images": 300}
    assert found["recipe"]["seed"] == 5
    assert found["machine"] == {"device": "cpu", "threads": 1}
    import torch

    assert found["versions"]["torch"] == torch.__version__.split("+")[0]
    assert "python" in found["versions"]


def test_what_a_file_leaves_out_is_as_usual():
    found = json.loads(JOB.to_json())
    for name in ("machine", "most_seconds", "tensorboard", "title", "owner", "versions"):
        del found[name]
    del found["data"]["images"]
    assert of_json(json.dumps(found)) == JOB


def test_title_and_owner_make_no_other_job():
    assert Job(NETWORK, "digits", Recipe(), title="a", owner="b") == JOB


# -- knobs -------------------------------------------------------------------------------------------------------------


def test_knobs_of_recipe_network_and_job():
    job = turned(
        epochs=3, **{"learning-rate": 0.25, "augmentation": "flip and crop"}, width=24, blocks="1-2-1", images=99
    )
    assert job.recipe == Recipe(epochs=3, learning_rate=0.25, augmentation="flip and crop")
    assert job.config == NETWORK.replace(width=24, blocks=(1, 2, 1))
    assert job.images == 99
    assert job.data == JOB.data


def test_a_switch_is_on_or_off():
    assert turned(zero_init="on").config.zero_init is True
    assert turned(zero_init="off").config.zero_init is False


def test_the_seed_is_the_recipes():
    assert turned(seed=3).recipe.seed == 3


def test_knobs_that_need_each_other_are_turned_together():
    """A cardinality is for bottlenecks alone, whichever is said first."""
    one = JOB.turned({"cardinality": "4", "block": "bottleneck"})
    other = JOB.turned({"block": "bottleneck", "cardinality": "4"})
    assert one == other
    assert (one.config.block, one.config.cardinality) == ("bottleneck", 4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wings": "2"}, "'wings' is not to be set; there are epochs, "),
        ({"family": "densenet"}, "'family' is not to be set"),
        ({"owner": "me"}, "'owner' is not to be set"),
        ({"__class__": "x"}, "'__class__' is not to be set"),
        ({"": "x"}, "'' is not to be set"),
        ({"a\nb" * 100: "x"}, "is not to be set"),
        ({"threads": "0"}, "threads=0: a whole number from 1 to 4096"),
        ({"threads": "5000"}, "threads=5000: a whole number from 1 to 4096"),
        ({"images": "-5"}, "images='-5': a whole number from 0"),
        ({"images": "1e3"}, "images='1e3': a whole number"),
        ({"images": "²"}, "images='²': a whole number"),
        ({"images": "9" * 5000}, "a whole number from 0"),
        ({"most_seconds": "soon"}, "most_seconds='soon': a whole number"),
        ({"epochs": "many"}, "epochs='many': .* 1 to 1000"),
        ({"learning_rate": "nan"}, "learning_rate='nan': "),
        ({"width": "-1"}, "width='-1': "),
        ({"blocks": "1-x"}, "blocks='x': "),
        ({"zero_init": "perhaps"}, "zero_init='perhaps': .*true, false"),
        ({"input_size": "8", "blocks": "1-1-1-1", "stem": "imagenet"}, "input_size=8: "),
    ],
)
def test_a_change_that_cannot_be_is_one_sentence(changes, words):
    with pytest.raises((JobError, ConfigError), match=words) as refusal:
        JOB.turned(changes)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 600


def test_what_can_be_set_can_be_read_again():
    for changes in ({"threads": "4096"}, {"images": "1000000000"}, {"title": "x" * 500}, {"data": "../../etc"}):
        job = JOB.turned(changes)
        assert of_json(job.to_json()) == job


# -- files that somebody spoilt ----------------------------------------------------------------------------------------

DEEP = "[" * 100_000
SPOILT = {
    "empty": "",
    "no JSON": "{",
    "a list": "[1]",
    "a number": "3",
    "null": "null",
    "an empty table": "{}",
    "deep": DEEP,
    "deep inside": '{"network": ' + DEEP,
    "long number": '{"data": ' + "9" * 5000 + "}",
    "network a list": spoilt("network", [1]),
    "network empty": spoilt("network", {}),
    "network null": spoilt("network", None),
    "no such family": spoilt("network.family", "no\u202esuch"),
    "family a list": spoilt("network.family", ["resnet"]),
    "a network that cannot be": spoilt("network.cardinality", 4),
    "a network of another kind": spoilt("network.growth_rate", 12),
    "blocks": spoilt("network.blocks", [10**30] * 3),
    "NaN in the network": spoilt("network.dropout", float("nan")),
    "recipe a list of pairs": spoilt("recipe", [["epochs", 3]]),
    "recipe a text": spoilt("recipe", "quick"),
    "NaN in the recipe": spoilt("recipe.learning_rate", float("nan")),
    "infinite": spoilt("recipe.learning_rate", float("inf")),
    "strange knob": spoilt("recipe.wings", 2),
    "strange knob, long": spoilt("recipe." + "w" * 10_000, 2),
    "data a text": spoilt("data", "digits"),
    "data without a name": spoilt("data", {}),
    "data's name a number": spoilt("data.name", 3),
    "images a text": spoilt("data.images", "many"),
    "images NaN": spoilt("data.images", float("nan")),
    "images a fraction": spoilt("data.images", 1.5),
    "images a truth": spoilt("data.images", True),
    "images below none": spoilt("data.images", -1),
    "images beyond all": spoilt("data.images", 10**300),
    "machine a list": spoilt("machine", []),
    "machine null": spoilt("machine", None),
    "no threads": spoilt("machine.threads", 0),
    "threads a text": spoilt("machine.threads", "2"),
    "too many threads": spoilt("machine.threads", 10**6),
    "device a table": spoilt("machine.device", {}),
    "seconds infinite": spoilt("most_seconds", float("inf")),
    "title a list": spoilt("title", ["x"]),
    "owner a number": spoilt("owner", 1),
}


@pytest.mark.parametrize("text", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_file_is_one_sentence(tmp_path, text):
    with pytest.raises((JobError, ConfigError)):
        of_json(text)
    (tmp_path / runs.CONFIG).write_text(text)
    with pytest.raises(runs.RunError) as refusal:
        runs.read(tmp_path)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 700


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe\x00", b" " * (jobs.MOST_BYTES + 1), b'{"title": "\xed\xa0\x80"}'],
    ids=["binary", "huge", "no text"],
)
def test_a_file_that_is_no_text_is_one_sentence(tmp_path, data):
    (tmp_path / runs.CONFIG).write_bytes(data)
    with pytest.raises(runs.RunError, match="cannot be read"):
        runs.read(tmp_path)


@pytest.mark.parametrize("field", ["title", "owner", "data.name", "machine.device"])
def test_words_of_a_file_are_a_short_line_that_can_be_written_again(field):
    job = of_json(spoilt(field, "a\n\ud800\u202e" + "x" * 100_000))
    assert of_json(job.to_json()) == job
    job.to_json().encode()
    for word in (job.title, job.owner, job.data, job.device):
        assert word.isprintable()
        assert len(word) <= 80


def test_every_refusal_is_one_that_pages_show():
    assert issubclass(JobError, ExplorerError)
    assert issubclass(ConfigError, ExplorerError)
