"""The server: what it tells, what can be asked of it, who may, and what is written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.api.tokens import Tokens, issue, revoke
from pipeline.errors import ConfigError, StoreError
from pipeline.farm import attempts


def test_a_job_is_told_frame_by_frame(served: Any, rehearsed: Any) -> None:
    job = rehearsed.done(served.store)

    told = served.get("/v1/jobs/shot_010").json()

    assert (told["job"], told["state"], told["done"], told["frames"]) == (job.id, "done", 2, 2)
    assert [frame["frame"] for frame in told["frame_list"]] == [1, 2]
    assert [each["job"] for each in served.get("/v1/jobs").json()] == [job.id]


def test_a_job_that_is_not_there_is_404_with_the_nearest_name(served: Any, rehearsed: Any) -> None:
    rehearsed.claim(served.store)

    answer = served.get("/v1/jobs/shot_01")

    assert answer.status_code == 404 and "did you mean shot_010?" in answer.json()["detail"]


def test_controls_are_control_records_and_leave_an_audit_line_each(served: Any, rehearsed: Any) -> None:
    job = rehearsed.claim(served.store)

    for action in ("pause", "resume", "cancel", "retry"):
        assert served.post(f"/v1/jobs/{job.id}/{action}").status_code == 200
    assert served.http.put(
        f"/v1/jobs/{job.id}/priority", params={"value": 8}, headers=served.bearer(served.write)
    ).is_success
    assert served.post(f"/v1/jobs/{job.id}/skip", params={"frames": "2"}).is_success

    state = served.farm.control(job)
    assert state.cancelled and state.priority == 8 and state.skipped == {2}
    lines = [json.loads(line) for line in served.audited().splitlines()]
    assert [line["action"] for line in lines] == ["pause", "resume", "cancel", "retry", "priority", "skip"]
    assert {(line["who"], line["job"]) for line in lines} == {("wrangler", job.id)}


def test_approval_terms_and_a_change_are_asked_for_as_the_tokens_owner(served: Any, rehearsed: Any) -> None:
    job = rehearsed.claim(served.store)
    ask = served.bearer(served.write)

    told = served.http.patch(f"/v1/jobs/{job.id}/terms", json={"order": "middle-out", "approve": "round"}, headers=ask)
    approved = served.post(f"/v1/jobs/{job.id}/approve")
    changed = served.post(f"/v1/jobs/{job.id}/change", json={"overrides": {"denoise.lambda": 2.0}})
    retried = served.post(f"/v1/jobs/{job.id}/retry", params={"task": ["samples/0001/r00"]})
    stopped = served.post(f"/v1/jobs/{job.id}/cancel", params={"after_task": True})

    state = served.farm.control(job)
    assert told.json()["told"] == 'order is "middle-out", approve is "round"' and job.terms(state).order == "middle-out"
    assert approved.json()["told"] == "approved" and state.approved
    assert changed.status_code == 422 and "renders nothing that could be changed" in changed.json()["detail"]
    assert retried.json()["told"] == "none of these has failed"
    assert stopped.json()["told"] == "cancelled after the tasks that run" and state.lenient
    records = [json.loads(served.store.read(name)) for name in served.store.list(f"{job.directory}/control")]
    assert {record["by"] for record in records} == {"wrangler"}
    said = [json.loads(line) for line in served.audited().splitlines()]
    assert [line["action"] for line in said] == ["adjust", "approve", "change", "retry", "cancel"]
    assert said[2]["outcome"].startswith("failed: ") and {line["who"] for line in said} == {"wrangler"}


@pytest.mark.parametrize("body", [{"order": "random"}, {"pool": "../x"}, {"priority": 3}, {"after": ["no version"]}])
def test_terms_that_make_no_sense_are_refused(served: Any, rehearsed: Any, body: dict[str, Any]) -> None:
    job = rehearsed.claim(served.store)

    answer = served.http.patch(f"/v1/jobs/{job.id}/terms", json=body, headers=served.bearer(served.write))

    assert answer.status_code == 422 and served.farm.control(job).records == 0


def test_workers_are_drained_barred_and_allowed_as_the_tokens_owner(
    served: Any, rehearsed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.farm import roster
    from pipeline.farm.client import Farm

    job = rehearsed.claim(served.store)
    live = {"name": "n7.cuda0", "host": "n7", "state": "working", "device": "cuda:0", "slots": 1, "memory": 24576}
    live |= {"started": 1.0, "pools": [""], "tags": ["fast"], "reason": ""}
    monkeypatch.setattr(Farm, "workers", lambda farm: [live])

    assert served.post("/v1/workers/n7.cuda0/bar", params={"job": job.id}).json()["job"] == job.id
    assert served.farm.control(job).barred == {"n7.cuda0"}
    assert served.post("/v1/workers/n7.cuda0/allow", params={"job": job.id}).is_success
    assert served.post("/v1/workers/n7.cuda0/bar", params={"reason": "its fan is loud"}).is_success
    (told,) = served.get("/v1/workers").json()
    assert told["reason"] == "asked to out (by wrangler)" and told["pools"] == [] and told["tags"] == ["fast"]
    assert served.post("/v1/workers/n7.cuda0/drain").is_success
    assert served.post("/v1/workers/n7.cuda9/drain").status_code == 422

    assert roster.standing(served.store, "n7.cuda0").by == "wrangler"
    said = [json.loads(line) for line in served.audited().splitlines()]
    assert [line["action"] for line in said] == ["bar", "allow", "bar", "drain", "drain"]
    assert "did you mean n7.cuda0?" in said[-1]["outcome"]


def test_a_failed_request_leaves_an_audit_line_too(served: Any) -> None:
    assert served.post("/v1/jobs/nobody/cancel").status_code == 404

    assert json.loads(served.audited())["outcome"].startswith("failed: ")


def test_logs_are_told_from_a_time_on(served: Any, rehearsed: Any) -> None:
    rehearsed.done(served.store)

    first = served.get("/v1/jobs/shot_010/logs", task="samples").json()
    last = first[-1]["lines"][-1]["at"]

    assert {each["task"].split("/")[0] for each in first} == {"samples"}
    assert first[0]["lines"][-1]["facts"]["outcome"] == "made"
    assert served.get("/v1/jobs/shot_010/logs", task="samples", after=last).json() == []
    assert served.get("/v1/jobs/shot_010/logs", failed=True).json() == []


def test_a_parked_task_is_told_with_its_reason_and_the_end_of_its_log(served: Any, rehearsed: Any) -> None:
    job = rehearsed.claim(served.store)
    number = attempts.begin(served.store, job.directory, "samples/0001/r00", worker="w")
    attempts.end(served.store, job.directory, "samples/0001/r00", number, outcome="raised", reason="no licence")
    tried = attempts.history(served.store, job.directory, "samples/0001/r00")
    attempts.park(served.store, job.directory, "samples/0001/r00", tried, kind="raised", reason="no licence")

    (failed,) = served.get("/v1/jobs/shot_010").json()["failed"]

    assert failed["task"] == "samples/0001/r00" and failed["reason"] == "no licence" and failed["log"]


def test_usage_and_scaling_are_told(served: Any, rehearsed: Any) -> None:
    rehearsed.done(served.store, "shot_020")
    rehearsed.claim(served.store)

    used = served.get("/v1/jobs/shot_020/usage").json()
    scaling = served.get("/v1/scaling").json()

    assert used["by_kind"]["passes"]["attempts"] == 8 and used["cost"] is not None and used["stored"]["passes"] > 0
    assert scaling == {  # two sample maps could be made
        "cpu": {"tasks": 0, "slots": 0},
        "cuda": {"tasks": 0, "slots": 0},
        "any": {"tasks": 2, "slots": 0},
    }


def test_a_frame_without_a_picture_is_404(served: Any, rehearsed: Any) -> None:
    rehearsed.done(served.store)

    assert served.get("/v1/jobs/shot_010/frames/1/preview").status_code == 404
    assert served.get("/v1/jobs/shot_010/frames/99/preview").status_code == 404


def test_a_store_that_cannot_be_read_is_503(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(prefix: str) -> list[str]:
        raise StoreError("the network file system has lost it")

    monkeypatch.setattr(served.store, "children", fails)

    answer = served.get("/v1/jobs")
    assert answer.status_code == 503 and "has lost it" in answer.json()["detail"]


# --- submitting ---------------------------------------------------------------------------------------------------


def test_a_shot_with_a_mistake_is_refused_with_its_line(served: Any) -> None:
    folder = served.project / "shots" / "shot_a"
    folder.mkdir()
    (folder / "shot.yaml").write_text("shot: shot_a\nscene: scene.xml\nframes: 1-2\nsampling: {max_sp: 4}\n")

    answer = served.post("/v1/jobs", json={"sources": ["shot_a"]})

    assert answer.status_code == 422 and "did you mean max_spp?" in answer.json()["detail"]
    assert "shot_a" in served.audited() and "failed" in served.audited()


def test_what_is_submitted_is_passed_on_and_told(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.farm import submission

    (served.project / "shots" / "shot_a").mkdir()
    asked: dict[str, Any] = {}

    def submit(sources: list[str], overrides: dict[str, Any], **options: Any) -> list[submission.Result]:
        asked.update(sources=sources, overrides=overrides, **options)
        return [submission.Result("shot_a.v001", "shot_a", 1, "waiting", "/renders/shot_a/v001", {}, ["a warning"])]

    monkeypatch.setattr(submission, "submit", submit)
    answer = served.post("/v1/jobs", json={"sources": ["shot_a"], "overrides": {"sampling.max_spp": 64}})

    assert answer.status_code == 201 and answer.json()[0]["job"] == "shot_a.v001"
    assert asked["overrides"] == {"sampling.max_spp": 64} and asked["wait"] is False
    assert json.loads(served.audited())["jobs"] == ["shot_a.v001"]


# --- tokens -------------------------------------------------------------------------------------------------------


def test_a_token_is_stored_as_a_digest_and_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    token = issue(path, "alice", "write")

    assert token not in path.read_text() and path.stat().st_mode & 0o077 == 0
    found = Tokens(path).check(token)
    assert found is not None and found.name == "alice" and found.may("read") and found.may("write")
    assert Tokens(path).check(token + "x") is None


def test_a_revoked_token_ends_at_once(served: Any) -> None:
    assert served.get("/v1/jobs").status_code == 200

    revoke(served.tokens, "looker")

    assert served.get("/v1/jobs").status_code == 401
    assert served.get("/v1/jobs", served.write).status_code == 200


def test_a_name_is_given_to_one_token(tmp_path: Path) -> None:
    issue(tmp_path / "t", "alice", "read")

    for name, words in (("alice", "there is a token"), ("a/b", "no name for a token")):
        with pytest.raises(ConfigError, match=words):
            issue(tmp_path / "t", name, "read")
    with pytest.raises(ConfigError, match="there is no token called"):
        revoke(tmp_path / "t", "bob")


# --- the document -------------------------------------------------------------------------------------------------


def test_the_openapi_document_is_valid(served: Any) -> None:
    validator = pytest.importorskip("openapi_spec_validator")

    validator.validate(served.http.get("/openapi.json").json())


def test_every_route_but_one_asks_for_a_token_and_says_what_it_does(served: Any) -> None:
    document = served.http.get("/openapi.json").json()
    routes = {(path, method): route for path, methods in document["paths"].items() for method, route in methods.items()}

    assert {path for (path, _), route in routes.items() if "security" not in route} == {"/healthz"}
    asked = ("pause", "resume", "cancel", "retry", "skip", "priority", "approve", "terms", "change")
    of_workers = {f"/v1/workers/{{worker}}/{action}" for action in ("drain", "bar", "allow")}
    changing = {path for (path, method), _ in routes.items() if method != "get"}
    written = {path for path in changing if not path.startswith("/v1/review/")}  # tested beside the review
    assert written == {"/v1/jobs", *(f"/v1/jobs/{{name}}/{action}" for action in asked)} | of_workers
    assert all(route.get("description") for route in routes.values())
    for path, method in routes:
        name = path.replace("{name}", "shot_010").replace("{frame}", "1").replace("{worker}", "w")
        assert served.http.request(method, name).status_code == (200 if path == "/healthz" else 401)
