from __future__ import annotations

from http.client import BadStatusLine, IncompleteRead, RemoteDisconnected

import pytest
import requests

from supervisor.gateways import silence


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (IncompleteRead(b""), "it closed the connection in the middle of its answer"),
        (BadStatusLine("SSH-2.0"), "what answers there speaks no HTTP"),
        (RemoteDisconnected(), "it closed the connection without an answer"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
    ],
)
def test_why_no_answer_came_is_told_in_words(cause: Exception, words: str) -> None:
    assert silence.reason(requests.ConnectionError(cause), 10) == words
