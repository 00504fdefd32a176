"""What a message may not do to the people who read it."""

import pytest

from drctl.adapters.slack.message import MAX_TEXT, message_text


@pytest.mark.parametrize(
    "hostile",
    [
        "<!channel>",
        "<!here|x>",
        "<@U123>",
        "<https://evil.example|our bank>",
        "a\x1b[31mb",
        "x\u202ey",
    ],
)
def test_no_text_mentions_links_or_steers(hostile):
    text = message_text(hostile, "")

    assert not set("<>\x1b\u202e") & set(text)


def test_the_id_of_the_event_is_kept_when_the_text_is_cut():
    text = message_text("&" * 5000, "run-1/announce")

    assert text.endswith(" [run-1/announce]")
    assert len(text) <= MAX_TEXT
    assert text.removesuffix(" [run-1/announce]").endswith("&amp;"), "no escape is cut in two"


def test_a_long_key_is_shortened_the_same_way_each_time():
    assert message_text("hello", "k" * 90) == message_text("hello", "k" * 90)
    assert len(message_text("hello", "k" * 90)) < 40
