import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ProductError
from pipeline.farm import names
from pipeline.farm.names import Name

FRAMES = st.integers(-200_000, 200_000)
ROUNDS = st.integers(0, 250)
TASKS = st.one_of(
    st.builds(names.samples, FRAMES, ROUNDS),
    st.builds(names.passes, FRAMES, ROUNDS, ROUNDS),
    st.builds(names.buffers, FRAMES, ROUNDS),
    st.builds(names.denoised, FRAMES, ROUNDS),
    st.builds(names.draft, FRAMES, ROUNDS),
    st.builds(names.error, FRAMES, ROUNDS),
    st.builds(names.stop, FRAMES),
    st.builds(names.frame_product, FRAMES),
    st.builds(names.budget, ROUNDS),
    st.just(names.REPORT),
)
MARKS = st.one_of(
    st.builds(names.absent, FRAMES),
    st.builds(names.failure, TASKS),
    st.builds(names.attempt, TASKS, ROUNDS),
    st.builds(names.log, TASKS, ROUNDS),
    st.builds(names.control, ROUNDS),
)


def made_from(name: Name) -> str:
    f, r, s, task, n = name.frame or 0, name.round or 0, name.slice or 0, name.task or "", name.number or 0
    return {
        "samples": lambda: names.samples(f, r),
        "passes": lambda: names.passes(f, r, s),
        "buffers": lambda: names.buffers(f, r),
        "draft": lambda: names.draft(f, r),
        "denoised": lambda: names.denoised(f, r),
        "error": lambda: names.error(f, r),
        "stop": lambda: names.stop(f),
        "frames": lambda: names.frame_product(f),
        "report": lambda: names.REPORT,
        "budget": lambda: names.budget(r),
        "absent": lambda: names.absent(f),
        "failures": lambda: names.failure(task),
        "attempts": lambda: names.attempt(task, n),
        "logs": lambda: names.log(task, n),
        "control": lambda: names.control(n),
    }[name.kind]()


@given(st.one_of(TASKS, MARKS))
def test_what_the_parser_reads_makes_the_same_name_again(name: str) -> None:
    assert made_from(names.parse(name)) == name


@given(FRAMES, ROUNDS, ROUNDS)
def test_a_pass_is_read_with_its_frame_round_and_slice(frame: int, r: int, s: int) -> None:
    assert names.parse(names.passes(frame, r, s)) == Name("passes", frame, r, s)


def test_names_are_those_of_the_contract() -> None:
    assert names.samples(1001, 0) == "samples/1001/r00"
    assert names.passes(1001, 2, 0) == "passes/1001/r02.s00"
    assert names.buffers(1001, 2) == "buffers/1001/r02"
    assert names.denoised(1001, 2) == "rounds/1001/r02/denoised"
    assert names.error(1001, 12) == "rounds/1001/r12/error"
    assert names.stop(-3) == "stop/-0003"
    assert names.frame_product(123456) == "frames/123456"
    assert names.budget(1) == "budget/r01"
    assert names.failure("report") == "failures/report"


def test_a_mark_on_a_task_carries_the_task_and_its_frame() -> None:
    mark = names.parse("failures/passes/1001/r02.s03")

    assert (mark.kind, mark.task, mark.frame, mark.round, mark.slice) == ("failures", "passes/1001/r02.s03", 1001, 2, 3)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "samples",
        "samples/1001",
        "samples/1001/r0",
        "samples/1001/r002",
        "samples/1001/r00/",
        "/samples/1001/r00",
        "samples/1001/r00\n",
        "samples/101/r00",
        "samples/01001/r00",
        "samples/-0000/r00",
        "samples/+1001/r00",
        "samples/١٠٠١/r00",
        "passes/1001/r00",
        "passes/1001/r00.s1",
        "rounds/1001/r00/other",
        "frames/shot_010.1001.exr",
        "failures/nothing",
        "failures/absent/1001",
        "failures/failures/stop/1001",
        "attempts/stop/1001/01",
        "control/1",
        "report/1001",
        "budget",
        "budget/r1",
        "budget/1001/r01",
        "../report",
    ],
)
def test_a_foreign_name_is_refused(name: str) -> None:
    with pytest.raises(ProductError, match="not the name of a product"):
        names.parse(name)


def test_a_negative_round_cannot_be_named() -> None:
    with pytest.raises(ValueError, match="round -1 is negative"):
        names.samples(1001, -1)


def test_every_task_has_a_queue_and_a_mark_has_none() -> None:
    assert names.queue("passes/1001/r00.s00") == "render"
    assert names.queue("frames/1001") == "denoise"
    assert names.queue("report") == names.queue("budget/r01") == "light"
    with pytest.raises(ProductError, match="not a task"):
        names.queue("absent/1001")
