"""A patch is delivered once, and nothing on the machine says where to."""

import json

import pytest

from drctl.actions.errors import (
    AuthRejected,
    Conflict,
    NotFound,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unavailable,
)
from drctl.adapters.kubernetes.client import Cluster, deployment_path

REFUSED = json.dumps({"kind": "Status", "message": "no"}).encode()


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("hang", OutcomeUnknown),
        ("reset", OutcomeUnknown),
        ((500, {}, b"oops"), OutcomeUnknown),
        ((503, {"Retry-After": "1"}, b"{}"), OutcomeUnknown),
        ((200, {}, b"not json"), OutcomeUnknown),
        ((307, {"Location": "https://elsewhere.example"}, b""), Rejected),
        ((401, {}, REFUSED), AuthRejected),
        ((403, {}, REFUSED), AuthRejected),
        ((404, {}, REFUSED), NotFound),
        ((409, {}, REFUSED), Conflict),
        ((422, {}, REFUSED), Rejected),
        ((429, {"Retry-After": "1"}, REFUSED), Throttled),
    ],
)
async def test_a_patch_is_delivered_once_whatever_comes_back(
    said, word, faulty, target_at, context
):
    """urllib3 would repeat, and follow a redirect with the token in its hand."""
    port, requests = await faulty(lambda _method, _path: said)
    target = target_at(port)
    with pytest.raises(word):
        await Cluster(context(2), target.cluster).patch(deployment_path(target), {"spec": {}})
    assert [one[0] for one in requests] == ["PATCH"]
    assert requests[0][2]["content-type"] == "application/merge-patch+json"


async def test_a_read_is_asked_again_until_it_is_answered(faulty, target_at, context):
    answers = iter([(500, {}, b""), "reset", (429, {}, b""), (200, {}, b'{"a": 1}')])
    port, requests = await faulty(lambda _method, _path: next(answers))
    target = target_at(port)
    assert await Cluster(context(), target.cluster).get("/version") == {"a": 1}
    assert len(requests) == 4


async def test_an_unknown_authority_ends_in_the_handshake(faulty, target_at, context):
    port, requests = await faulty(lambda _method, _path: (200, {}, b"{}"), trusted=False)
    target = target_at(port)
    with pytest.raises(AuthRejected, match="certificate"):
        await Cluster(context(), target.cluster).patch(deployment_path(target), {})
    assert requests == []


async def test_a_refused_connection_is_not_an_unknown_outcome(target_at, context):
    target = target_at(16999)
    with pytest.raises(Unavailable):
        await Cluster(context(), target.cluster).patch(deployment_path(target), {})


async def test_a_missing_ca_file_is_named(target_at, context):
    target = target_at(16999, ca_file="/nowhere/ca.pem")
    with pytest.raises(AuthRejected, match=r"/nowhere/ca\.pem"):
        await Cluster(context(), target.cluster).get("/version")


async def test_nothing_on_the_machine_is_used(faulty, target_at, context, monkeypatch, tmp_path):
    """Not a kubeconfig, not a proxy, not a bundle of certificates."""
    trap, caught = await faulty(lambda _method, _path: (200, {}, b"{}"))
    url = f"https://127.142.0.20:{trap}"
    config = tmp_path / "config"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: other\n"
        f"clusters: [{{name: other, cluster: {{server: '{url}'}}}}]\n"
        "users: [{name: other, user: {token: other}}]\n"
        "contexts: [{name: other, context: {cluster: other, user: other}}]\n"
    )
    for name, value in {
        "KUBECONFIG": str(config),
        "HOME": str(tmp_path),
        "HTTPS_PROXY": url,
        "HTTP_PROXY": url,
        "https_proxy": url,
        "NO_PROXY": "",
        "no_proxy": "",
        "KUBERNETES_SERVICE_HOST": "127.142.0.20",
        "KUBERNETES_SERVICE_PORT": str(trap),
        "REQUESTS_CA_BUNDLE": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    port, requests = await faulty(lambda _method, _path: (200, {}, b"{}"))
    await Cluster(context(), target_at(port).cluster).get("/version")
    assert caught == []
    assert requests[0][2]["authorization"] == "bearer token-of-the-tests"
