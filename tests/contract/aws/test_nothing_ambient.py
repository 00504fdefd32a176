"""What lies around on the machine is never used: that is how one deletes the wrong account."""

import re

import pytest

from drctl.actions.targets import AwsConnection
from drctl.adapters.aws.client import Aws

STS = (
    b"<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>"
    b"<Arn>arn:aws:iam::123456789012:user/drctl</Arn></GetCallerIdentityResult>"
    b"</GetCallerIdentityResponse>"
)


@pytest.fixture
async def machine(monkeypatch, tmp_path, endpoint_at):
    """A machine on which everything points to another account, at a trap."""
    trap = await endpoint_at("127.141.0.99")
    home = tmp_path / "home"
    (home / ".aws" / "models" / "sts" / "2011-06-15").mkdir(parents=True)
    (home / ".aws" / "models" / "sts" / "2011-06-15" / "service-2.json").write_text("not a model")
    (home / ".aws" / "config").write_text(
        "[default]\nregion = eu-central-1\nretry_mode = adaptive\nmax_attempts = 7\n"
        f"endpoint_url = {trap.url}\nproxy = {trap.url}\nca_bundle = /nowhere\n"
        "[profile other]\nregion = eu-central-1\nservices = s\n"
        f"[services s]\nsts =\n  endpoint_url = {trap.url}\n"
    )
    (home / ".aws" / "credentials").write_text(
        "[other]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = other\n"
    )
    for name, value in {
        "HOME": str(home),
        "AWS_PROFILE": "other",
        "AWS_DEFAULT_PROFILE": "missing",
        "AWS_ACCESS_KEY_ID": "AKIAENVIRONMENT",
        "AWS_SECRET_ACCESS_KEY": "environment",
        "AWS_SESSION_TOKEN": "environment",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": trap.url,
        "AWS_ENDPOINT_URL_STS": trap.url,
        "AWS_MAX_ATTEMPTS": "7",
        "AWS_RETRY_MODE": "legacy",
        "AWS_CA_BUNDLE": "/nowhere",
        "REQUESTS_CA_BUNDLE": "/nowhere",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "AWS_STS_REGIONAL_ENDPOINTS": "legacy",
        "AWS_DATA_PATH": str(home / ".aws" / "models"),
        "AWS_CSM_ENABLED": "true",
        "HTTP_PROXY": trap.url,
        "HTTPS_PROXY": trap.url,
        "http_proxy": trap.url,
        "https_proxy": trap.url,
        "NO_PROXY": "",
        "no_proxy": "",
    }.items():
        monkeypatch.setenv(name, value)
    return trap


async def test_only_the_environment_file_says_who_and_where(
    machine, endpoint_at, connection_to, context
):
    endpoint = await endpoint_at(answer=lambda _request: (200, STS))
    aws = Aws(context(), connection_to(endpoint.url))
    answer = await aws.read("sts", "get_caller_identity")
    assert answer["Account"] == "123456789012"
    assert machine.connections == 0
    request = endpoint.requests[0]
    credential = re.search(r"Credential=([^,]+),", request.headers["authorization"])[1]
    assert re.fullmatch(r"AKIALABLABLABLABLAB1/\d{8}/us-west-2/sts/aws4_request", credential)
    assert "x-amz-security-token" not in request.headers


@pytest.mark.parametrize(
    ("service", "url"),
    [
        ("sts", "https://sts.us-west-2.amazonaws.com"),
        ("rds", "https://rds.us-west-2.amazonaws.com"),
        ("s3", "https://s3.us-west-2.amazonaws.com"),
        ("ec2", "https://ec2.us-west-2.amazonaws.com"),
        ("route53", "https://route53.amazonaws.com"),
    ],
)
@pytest.mark.usefixtures("machine")
def test_without_endpoints_the_vendors_own_for_the_region_are_used(service, url, context):
    connection = AwsConnection.model_validate(
        {
            "region": "us-west-2",
            "account": "123456789012",
            "access_key_id": "env:AKIALABLABLABLABLAB1",
            "secret_access_key": "env:x",
        }
    )
    client = Aws(context(), connection)._build(service)
    assert url == client.meta.endpoint_url
    config = client.meta.config
    assert config.retries == {"total_max_attempts": 1, "mode": "standard"}
    assert config.proxies == {}
