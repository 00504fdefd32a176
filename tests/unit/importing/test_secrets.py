"""A secret in a script is in nothing that comes out; where it stood is said."""

import json

import pytest
from typer.testing import CliRunner

from drctl.cli.main import app

SECRET = "Tr0ub4dorAnd3Horses9Q"
WAYS = [
    "cat <<EOF > key\n-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\nEOF",
    "kubectl set env deployment/app DATABASE_URL=postgresql://app:{}@db:5432/app",
    "curl -H 'Authorization: Bearer {}' https://x.example.net/",
    'curl -H "Authorization: OAuth {}" https://x.example.net/',
    "curl -u admin:{} https://x.example.net/",
    "export PGPASSWORD={}",
    "DB_PASSWORD='{}'\npsql \"$DB_PASSWORD\"",
    "API_TOKEN={} ./deploy",
    "mysql -u root -p{} app",
    "sshpass -p '{}' ssh host",
    "aws rds modify-db-instance --master-user-password {}",
    "kubectl create secret generic x --from-literal=password={}",
    "# the password: '{}'\nrm -r /x",
    "cat <<EOF\npassword={}\nEOF",
    'curl -d \'{{"password": "{}"}}\' https://x.example.net/',
    "curl -d @x https://hooks.slack.com/services/T000/B000/{}",
    "kubectl exec p -- python -c \"\nconnect('postgres://a:{}@h/d')\n\"",
    "if then 'postgres://a:{}@h/d' (",
    "helm upgrade x --set db.password={}",
    "redis-cli -u redis://:{}@cache:6379 ping",
    "echo eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{}",
]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("way", WAYS)
def test_no_output_has_the_secret(tmp_path, way, form):
    file = tmp_path / "x.sh"
    file.write_text(f"kubectl get pods\n{way.format(SECRET)}\n")
    result = CliRunner().invoke(app, ["runbook", "import", str(file), "-o", form])
    assert result.exit_code == 0, result.output
    for piece in (SECRET, SECRET[:12], SECRET[-12:]):
        assert piece not in result.output
    if form == "json":
        (script,) = json.loads(result.stdout)["scripts"]
        assert script["secrets"]
        assert not script["problems"]
        lines = file.read_text().split("\n")
        for one in script["secrets"]:
            assert lines[one["line"] - 1][one["column"] - 1 :]


def test_where_it_stood_is_said_to_the_column(tmp_path):
    text = f"export A=1\npsql postgres://app:{SECRET}@db/app\n"
    file = tmp_path / "x.sh"
    file.write_text(text)
    result = CliRunner().invoke(app, ["runbook", "import", str(file), "-o", "json"])
    (script,) = json.loads(result.stdout)["scripts"]
    (one,) = script["secrets"]
    assert text.split("\n")[one["line"] - 1][one["column"] - 1 :].startswith(SECRET)


def test_a_document_too(tmp_path):
    file = tmp_path / "x.md"
    file.write_text(
        f"# password={SECRET}\n```bash\npsql postgres://app:{SECRET}@db/app\n```\n"
        f"```python\nx = 'postgres://app:{SECRET}@db/app'\n```\n"
        f"```yaml\npassword: '{SECRET}'\n```\n"
    )
    result = CliRunner().invoke(app, ["runbook", "import", str(file), "-o", "json"])
    assert result.exit_code == 0, result.output
    assert SECRET not in result.output


@pytest.mark.parametrize(
    "text",
    [
        'psql "postgres://app:$PASSWORD@db/app"',
        "export DB_PASSWORD=$(vault read x)",
        "kubectl set env deployment/app --from=secret/app-db",
        'curl -H "Authorization: Bearer $TOKEN" https://x.example.net/',
        "aws secretsmanager get-secret-value --secret-id app-db",
    ],
)
def test_a_reference_is_no_secret(tmp_path, text):
    file = tmp_path / "x.sh"
    file.write_text(text + "\n")
    result = CliRunner().invoke(app, ["runbook", "import", str(file), "-o", "json"])
    assert json.loads(result.stdout)["scripts"][0]["secrets"] == []
