"""The table of ways to write a secret: each is masked and said; what is none stays as written."""

import json

import pytest
from typer.testing import CliRunner

from drctl.cli.main import app
from drctl.importing import secrets
from drctl.importing.secrets import Masked, without_secrets
from drctl.importing.yaml_out import comment, scalar

WORD = "leak" + "ed" + str(4711)
NOISY = "wJalrXUtn" + "FEMI/K7MDENG/" + "bPxRfiCYZZ" + "AMPLEKEY"
"""As Amazon's own example: a single digit, and two strokes."""
WAYS = [
    "MYSQL_PWD={} mysql -u root app",
    "echo {} | docker login --username me --password-stdin",
    "printf '%s' {} | docker login --password-stdin",
    "docker login --password-stdin <<< {}",
    "docker login -u me -p {} registry.example.net",
    "redis-cli -a {} ping",
    "redis-cli -h cache AUTH {}",
    "redis-cli CONFIG SET requirepass {}",
    'TOKEN=$(echo {})\n./deploy "$TOKEN"',
    "cat <<EOF | kubectl apply -f -\nkind: Secret\nstringData:\n  password: {}\nEOF",
    "cat <<EOF | kubectl apply -f -\nkind: Secret\nstringData:\n  other: {}\nEOF",
    "psql <<EOF\nALTER USER app PASSWORD '{}';\nEOF",
    "psql -c \"ALTER USER app WITH PASSWORD '{}'\"",
    "psql -c 'ALTER USER app PASSWORD '\\''{}'\\'''",
    "mysql -e \"CREATE USER app IDENTIFIED BY '{}'\"",
    "# password: {}\nrm -r /x",
    "openssl enc -aes-256-cbc -k {} -in x",
    "openssl pkcs12 -passin pass:{} -in x",
    "vault write secret/x value={}",
    "vault kv put secret/app user=me key={}",
    "vault login {}",
    "aws ssm put-parameter --name x --value {} --type SecureString",
    "aws ssm put-parameter --type SecureString --name x \\\n  --value '{}'",
    'aws secretsmanager put-secret-value --secret-id x --secret-string \'{{"a":"{}"}}\'',
    "aws configure set aws_secret_access_key {}",
    "export AWS_SECRET_ACCESS_KEY={}",
    "export DB_PASS={}",
    "export PASSWORD_PROD={}",
    "export SECRET_KEY_BASE={}",
    "export API_KEY={}",
    "export PASSWORD='pa$s{}'",
    'export PASSWORD="pa\\$s{}"',
    'PW=${{DB_PASSWORD:-{}}}\n./deploy "$PW"',
    "echo 'root:{}' | chpasswd",
    "echo {} | sudo -S true",
    "echo -n {} | gcloud secrets create x --data-file=-",
    "gh secret set X --body {}",
    "mysql \\\n  -u root \\\n  -p{} app",
    "mongosh -u app -p {} --eval 1",
    "ldapsearch -x -D cn=admin -w {} -b dc=example",
    "sqlcmd -S db -U sa -P {}",
    "az login --service-principal -u app -p {}",
    "keytool -storepass {} -list",
    "zip -P {} x.zip x",
    "htpasswd -cb users app {}",
    "consul kv put app/db/password {}",
    "smbclient -U 'app%{}' //files/x",
    "kubectl create secret generic x --from-literal=foo={}",
    "curl 'https://api.example.net/x?api_key={}&y=1'",
    "curl -H 'X-Vault-Token: {}' https://vault.example.net/",
    'curl -d "{{\\"password\\": \\"{}\\"}}" https://x.example.net/',
    "cat > ~/.netrc <<EOF\nmachine x login y password {}\nEOF",
    "echo 'db:5432:app:app:{}' >> ~/.pgpass",
    "cat > x.ini <<EOF\n[db]\npassword = {}\nEOF",
    "cat > x.xml <<EOF\n<password>{}</password>\nEOF",
    "terraform apply -var 'db_password={}'",
    "docker run -e POSTGRES_PASSWORD={} postgres",
    "python3 -c \"connect(host='x', password='{}')\"",
]
INNOCENT = [
    "# rotate the password afterwards",
    "# the password: ask the database team",
    "# Password: see the vault",
    'export DB_PASSWORD="$PASSWORD"',
    "export DB_PASSWORD=${PASSWORD}",
    'export DB_PASSWORD="$(cat file)"',
    "export DB_PASSWORD=$(vault kv get -field=password secret/app)",
    "DB_PASSWORD=env:DB_PASSWORD",
    "TOKEN=file:/run/secrets/token",
    "PASSWORD_FILE=/run/secrets/password",
    "password=/run/secrets/db",
    "TOKEN_TTL=3600",
    "MAX_TOKENS=4096",
    "pass=0; fail=0",
    "PWD=/opt/app",
    "docker login --password-stdin < token",
    'echo "$TOKEN" | docker login --password-stdin',
    "docker run -p 8080:80 -u 1000:1000 app",
    "redis-cli -h cache -p 6379 ping",
    "mysql -h db -P 3306 app",
    'mysql -u root -p"$MYSQL_PASSWORD" app',
    "ssh -p 22 host",
    "openssl s_client -connect x:443 -key key.pem",
    "curl -k https://x.example.net/",
    "grep -a text file",
    "psql -c \"ALTER USER app PASSWORD '$NEW_PASSWORD'\"",
    'psql -v pw="$PW" -c "ALTER USER app PASSWORD :\'pw\'"',
    'read -r -s -p "Enter the password: " PASSWORD',
    ': "${PASSWORD:?is not set}"',
    '[ "$TOKEN" = "expected" ] || exit 1',
    "aws ssm put-parameter --name region --value us-west-2 --type String",
    "kubectl create configmap x --from-literal=level=debug",
    "kubectl create secret generic x --from-file=password=/run/secrets/db",
    "helm upgrade x --set auth.existingSecret=app-db",
    "secretName: app-db",
    "password_encryption = scram-sha-256",
    'echo "usage: $0 --password PASSWORD"',
]


def imported(folder, text, form):
    file = folder / "x.sh"
    file.write_text(text)
    result = CliRunner().invoke(app, ["runbook", "import", str(file), "-o", form])
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_in_no_output_and_is_a_finding(tmp_path, way):
    text = f"#!/bin/bash\nkubectl get pods\n{way.format(WORD)}\n"
    assert WORD not in imported(tmp_path, text, "text").output
    shown = imported(tmp_path, text, "json").stdout
    assert WORD not in shown
    (script,) = json.loads(shown)["scripts"]
    assert "DR6505" in {one["id"] for one in script["findings"]}
    assert not [one for one in script["problems"] if one["code"] == "DR1030"]


@pytest.mark.parametrize("line", INNOCENT)
def test_what_is_no_secret_stays_as_written(line):
    masked = Masked(line, "x.sh")
    assert (line, ()) == (masked.text, masked.found)


def test_a_key_with_noise_in_it_is_no_default_of_an_input(tmp_path):
    text = f"export AWS_SECRET_ACCESS_KEY={NOISY}\nkubectl get pods\n"
    shown = imported(tmp_path, text, "json").stdout
    assert NOISY not in shown
    assert "DR6505" in shown


def test_the_net_holds_without_the_table(tmp_path, monkeypatch):
    """What the validator would refuse is not written, even when no pattern recognised it."""
    monkeypatch.setattr(secrets, "PATTERNS", ())
    shown = imported(tmp_path, f"export KEYS={NOISY}\nkubectl get pods\n", "json").stdout
    assert NOISY not in shown
    for written in (scalar(NOISY), comment(f"line 3: {NOISY}"), without_secrets(NOISY)):
        assert NOISY not in written
        assert "$SECRET" in written


def test_a_heading_is_looked_at_before_it_names_anything(tmp_path):
    file = tmp_path / "x.md"
    file.write_text(f"# Begin, password={WORD}\n\n```bash\nkubectl get pods\n```\n")
    result = CliRunner().invoke(app, ["runbook", "import", str(file), "-o", "json"])
    assert result.exit_code == 0, result.output
    assert WORD not in result.output


def test_the_interpreters_line_is_no_comment_of_a_step(tmp_path):
    (script,) = json.loads(imported(tmp_path, "#!/bin/bash\nrm -r /x\n", "json").stdout)["scripts"]
    assert "!/bin/bash" not in script["draft"]
    assert "Secrets that drctl recognises are not in it" in script["draft"]
