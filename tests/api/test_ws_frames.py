"""Frames that are wrong, too large, in pieces, or not text."""

from tests.support.ws import Device

CANARY = "canary-9f3"

WRONG = [
    ("nonsense", "frame: is not valid JSON"),
    ("[]", "frame: must be an object"),
    ('"text"', "frame: must be an object"),
    ("{}", "type: must be one of"),
    ('{"type":"canary-9f3"}', "type: must be one of"),
    ('{"type":["ping"]}', "type: must be one of"),
    ('{"type":"ping","canary-9f3":1}', "*: is no field of this request"),
    ('{"type":"ping","id":7}', "id: must"),
    ('{"type":"ping","id":""}', "id: "),
    ('{"type":"ping","id":"ä"}', "id: "),
    ('{"type":"chat.send","content":"canary-9f3"}', "id: is required"),
    ('{"type":"chat.send","id":"x"}', "messages: must be there, or content must, and not both"),
    ('{"type":"chat.send","id":"x","content":"canary-9f3","messages":[{"role":"user","content":"a"}]}', "messages: "),
    ('{"type":"chat.send","id":"x","content":""}', "content: "),
    ('{"type":"chat.send","id":"x","messages":[]}', "messages: "),
    ('{"type":"chat.send","id":"x","messages":[{"role":"canary-9f3","content":"a"}]}', "messages.0.role: "),
    ('{"type":"chat.send","id":"x","messages":[{"role":"assistant","content":"canary-9f3"}]}', "messages: "),
    ('{"type":"chat.send","id":"x","content":"a","user_id":"canary-9f3"}', "user_id: is no field of this request"),
    ('{"type":"chat.send","id":"x","content":"a","model":"canary-9f3"}', "This model is not allowed"),
    ('{"type":"chat.send","id":"x","content":NaN}', "frame: is not valid JSON"),
    ('{"type":"chat.send","id":"x","content":"\\u0000"}', "content: must not contain NUL"),
    ('{"type":"chat.send","id":"x","content":"\\ud800"}', "frame: is not valid JSON"),
    ('{"type":"chat.send","id":"x","content":' + "[" * 100 + "]" * 100 + "}", "frame: is nested deeper than 64"),
    ('{"type":"run.follow","id":"x","run_id":"run_1","after":-1}', "after: must"),
    ('{"type":"run.follow","id":"x","run_id":"run_1","after":"1"}', "after: must"),
    ('{"type":"run.follow","id":"x","run_id":"run_1","after":true}', "after: must"),
    ('{"type":"run.follow","id":"x","run_id":"run_1","after":9223372036854775808}', "after: must"),
    ('{"type":"run.follow","id":"x"}', "run_id: is required"),
    ('{"type":"auth","id":"x"}', "token: is required"),
]


async def test_a_wrong_frame_is_an_error_that_repeats_nothing_and_the_connection_stays(phone: Device):
    for text, says in WRONG:
        await phone.connection.send(text)
        answer = await phone.until_type("error")
        assert answer["detail"].startswith(says), (text, answer)
        assert answer["code"] in {"invalid_request", "model_not_allowed"}
        assert answer.get("id") == ("x" if '"id":"x"' in text and "frame" not in says and "NUL" not in says else None)
        assert CANARY not in str(answer)
    await phone.nothing_more()


async def test_a_message_is_as_long_as_by_http(phone: Device):
    answer = await phone.ask("chat.send", content="x" * 2001)
    assert (answer["code"], answer["detail"]) == ("invalid_request", "content: must be 1 to 2000 characters")
    answer = await phone.ask("chat.send", messages=[{"role": "user", "content": "x" * 2001}])
    assert (answer["code"], answer["detail"]) == ("invalid_request", "messages.0.content: must be 1 to 2000 characters")


async def test_binary_is_told_1003(phone: Device):
    await phone.connection.send(b"{}")
    assert await phone.close_code() == 1003


async def test_too_large_is_told_1009_and_just_not_too_large_is_not(phone: Device):
    await phone.connection.send('{"type":"ping"}'.ljust(64 * 1024))
    assert (await phone.until_type("pong")) == {"type": "pong"}
    await phone.connection.send('{"type":"ping"}'.ljust(64 * 1024 + 1))
    assert await phone.close_code() == 1009


async def test_frames_in_pieces_are_put_together(phone: Device):
    await phone.connection.send(['{"type":', '"ping"', ',"id":"a"}'])
    assert await phone.until_type("pong") == {"type": "pong", "id": "a"}
