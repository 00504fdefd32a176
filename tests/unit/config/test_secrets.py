"""Secrets are read where they are, by their owner, and shown nowhere."""

import copy
import json
import os
import pickle
import traceback

import pytest
from pydantic import TypeAdapter, ValidationError

from drctl.config.secrets import LocalSecrets
from drctl.kernel.errors import CredentialsError
from drctl.kernel.secret import Secret, SecretRef

VALUE = "hunter2-\u00e4"


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(VALUE + "\n")
    path.chmod(0o600)
    return path


def read(ref):
    return LocalSecrets().resolve(SecretRef(ref)).reveal()


def refused(ref):
    with pytest.raises(CredentialsError) as caught:
        read(ref)
    assert VALUE not in str(caught.value)
    assert VALUE not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_a_secret_is_read_from_the_process_or_a_file(secret_file, monkeypatch):
    monkeypatch.setenv("TOKEN", VALUE)
    assert VALUE == read("env:TOKEN") == read(f"file:{secret_file}")


def test_one_newline_at_the_end_is_not_part_of_it(secret_file):
    secret_file.write_text(VALUE + "\n\n")
    assert VALUE + "\n" == read(f"file:{secret_file}")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_may_open_is_refused(secret_file, mode):
    secret_file.chmod(mode)
    assert "others than its owner" in refused(f"file:{secret_file}")


def test_what_is_missing_empty_or_no_file_is_refused(tmp_path, secret_file, monkeypatch):
    monkeypatch.delenv("NOPE", raising=False)
    monkeypatch.setenv("EMPTY", "")
    os.mkfifo(tmp_path / "pipe", 0o600)
    empty = tmp_path / "empty"
    empty.touch(0o600)
    for ref in ("env:NOPE", "env:EMPTY", f"file:{empty}", f"file:{tmp_path}", "file:/nowhere/x"):
        refused(ref)
    assert "is not a file" in refused(f"file:{tmp_path}/pipe")
    refused("file:/a\0b")
    secret_file.write_bytes(b"\xff\xfe")
    refused(f"file:{secret_file}")


def test_a_file_that_is_too_long_is_refused_and_not_cut(secret_file):
    secret_file.write_text("x" * 70_000)
    assert "longer" in refused(f"file:{secret_file}")


def test_a_mounted_secret_is_a_link_and_is_followed(tmp_path, secret_file):
    (tmp_path / "link").symlink_to(secret_file)
    assert VALUE == read(f"file:{tmp_path}/link")


def test_a_secret_shows_itself_in_no_form():
    secret = Secret(VALUE)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", f"{secret!r}", "%s" % secret]  # noqa: UP031
    shown += [repr([secret]), repr({"a": secret}), "{}".format(secret)]  # noqa: UP032
    try:
        raise ValueError(secret)  # noqa: TRY301 (its traceback is what is looked at)
    except ValueError as error:
        shown.append(
            "".join(
                traceback.TracebackException.from_exception(error, capture_locals=True).format()
            )
        )
    assert not any(VALUE in text for text in shown)
    for dump in (json.dumps, pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            dump(secret)
        assert VALUE not in str(caught.value)
    assert VALUE not in json.dumps({"a": secret}, default=str)


def test_a_secret_in_the_place_of_a_reference_is_not_repeated():
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(SecretRef).validate_python("hunter2")
    assert "hunter2" not in str(caught.value.errors(include_input=False, include_url=False))
