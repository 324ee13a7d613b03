"""Text that more than one spelling stands for, and signs that are made of several characters, through every door."""

import unicodedata
from datetime import timedelta

import httpx
import pytest

from tests.support.api import Api, Apis, ask, credentials
from tests.support.fakes import PlainPasswords
from tests.support.widget import asked, create
from tests.support.ws import Door, token_of

ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
TITLE = f"می\u200cخواهم 👨‍👩‍👧‍👦 {ENGLAND} ❤️ e\u0301?"


# -- titles ------------------------------------------------------------------------------------------------------------


async def title_of(alice: httpx.AsyncClient, thread_id: str) -> str:
    listed = (await alice.get("/api/threads")).json()["data"][0]
    read = (await alice.get(f"/api/threads/{thread_id}")).json()
    assert listed["id"] == read["id"] == thread_id
    assert listed["title"] == read["title"]
    return str(read["title"])


@pytest.mark.parametrize("content", [TITLE, f"\n\u202e{TITLE}\x1b\nand more"])
async def test_a_first_message_gives_its_signs_to_the_title_through_every_door(
    alice: httpx.AsyncClient, door: Door, content: str
) -> None:
    answer = await ask(alice, content)
    assert await title_of(alice, answer["thread_id"]) == TITLE

    phone = await door.connect("phone", token_of(alice))
    ack = await phone.ask("chat.send", content=content)
    await phone.run_ended(ack["run_id"])
    assert await title_of(alice, ack["thread_id"]) == TITLE

    assert await title_of(alice, (await create(alice, content)).thread_id) == TITLE


async def test_a_title_that_a_user_gives_keeps_them_too(alice: httpx.AsyncClient) -> None:
    thread_id = (await ask(alice))["thread_id"]
    await alice.patch(f"/api/threads/{thread_id}", json={"title": TITLE})
    assert await title_of(alice, thread_id) == TITLE
    await asked(alice, "threads.update", thread_id=thread_id, title=TITLE + "!")
    assert await title_of(alice, thread_id) == TITLE + "!"


# -- passwords ---------------------------------------------------------------------------------------------------------

WORDS = "crème brûlée für Zoë"
NFC, NFD = unicodedata.normalize("NFC", WORDS), unicodedata.normalize("NFD", WORDS)
MIXED = NFC[:8] + NFD[9:]
OTHERS = {
    "vietnamese": "mật khẩu của tôi",
    "hangul": "아무도 모르는 비밀번호",
    "angstrom sign": "\u212bngstr\u00f6m unit",
    "excluded from composition": "\u0958\u0958\u0958\u0958\u0958\u0958\u0958\u0958",
    "two marks": "a\u0323\u0301 and a\u0301\u0323",
    "full width": "ｐａｓｓｗｏｒｄ",
    "emoji": "👨‍👩‍👧‍👦👨‍👩‍👧‍👦",
}


async def signs_in(api: Api, password: str, username: str = "alice") -> bool:
    answer = await api.anonymous().post("/token", data=credentials(username, password))
    assert answer.status_code in {200, 401}, answer.text
    return answer.status_code == 200


@pytest.mark.parametrize("given", [NFC, NFD, MIXED], ids=["NFC", "NFD", "mixed"])
async def test_a_password_is_the_same_in_every_spelling(api: Api, given: str) -> None:
    accounts = api.container.accounts()
    await accounts.add("alice", given)
    await accounts.add("bob", "another password")
    await accounts.set_password("bob", given)
    for spelling in (NFC, NFD, MIXED):
        assert await signs_in(api, spelling)
        assert await signs_in(api, spelling, "bob")
    for other in (WORDS.replace("è", "e"), WORDS.upper(), WORDS + " ", unicodedata.normalize("NFKD", "ｘ" + WORDS)):
        assert not await signs_in(api, other)


@pytest.mark.parametrize("words", OTHERS.values(), ids=OTHERS.keys())
async def test_so_is_one_of_another_script(api: Api, words: str) -> None:
    await api.container.accounts().add("alice", words)
    forms = {words, *(unicodedata.normalize(form, words) for form in ("NFC", "NFD"))}
    assert [await signs_in(api, form) for form in forms] == [True] * len(forms)
    compatible = unicodedata.normalize("NFKC", words)
    assert await signs_in(api, compatible) == (compatible in forms), "what only looks alike is another password"


async def hashed_before(api: Api, username: str, raw: str) -> None:
    """An account whose hash is of what was sent, as all were before passwords were normalised."""
    user = await api.container.accounts().add(username, "set in a moment")
    changed = user.password_changed_at + timedelta(microseconds=1)
    await api.container.users().set_password(user.id, await api.container.passwords().hash(raw), changed)


@pytest.mark.parametrize("raw", [NFC, NFD, MIXED, *OTHERS.values()], ids=["NFC", "NFD", "mixed", *OTHERS])
async def test_hashes_made_before_stay_valid(api: Api, raw: str) -> None:
    await hashed_before(api, "alice", raw)
    assert await signs_in(api, raw)
    assert not await signs_in(api, raw + "x")
    if raw == unicodedata.normalize("NFD", raw):
        assert await signs_in(api, unicodedata.normalize("NFC", raw)), "another keyboard knows it as well"


class Counted(PlainPasswords):
    async def aclose(self) -> None: ...


@pytest.mark.parametrize(
    ("password", "count"),
    [("all of ASCII", 1), (NFC, 2), (NFD, 2), (MIXED, 3)],
    ids=["ASCII", "NFC", "NFD", "mixed"],
)
async def test_how_much_is_hashed_follows_from_what_is_sent_alone(apis: Apis, password: str, count: int) -> None:
    passwords = Counted()
    api = await apis.start(swapped={"passwords": passwords})
    accounts = api.container.accounts()
    await accounts.add("wrong", "another password")
    for name in ("right", "gone"):
        await accounts.add(name, password)
    await hashed_before(api, "old", password)
    await accounts.set_disabled("gone", disabled=True)
    counts = {}
    for name in ("wrong", "right", "gone", "old", "nobody", "\x1b"):
        before = passwords.verified
        assert await signs_in(api, password, name) == (name in {"right", "old"})
        counts[name] = passwords.verified - before
    assert set(counts.values()) == {count}, counts


async def test_a_wrong_password_is_the_same_answer_in_every_spelling(api: Api) -> None:
    await api.container.accounts().add("alice", "another password")
    client = api.anonymous(**{"X-Request-ID": "same"})
    answers = [
        await client.post("/token", data=credentials(name, spelling))
        for name in ("alice", "nobody")
        for spelling in (NFC, NFD, MIXED)
    ]
    assert {answer.content for answer in answers} == {answers[0].content}
    assert answers[0].status_code == 401


@pytest.mark.parametrize(
    ("password", "status"),
    [
        ("é" * 512, 200),
        ("x" * 1024, 200),
        ("각" * 341, 200),
        ("é" * 1025, 422),
        ("x" * 1025, 422),
        ("\u0301" * 4096, 422),
        ("e\u0301" * 5_000, 422),
        ("e\u0301" * 100_000, 413),
    ],
)
async def test_it_has_at_most_1024_characters_in_any_spelling(api: Api, password: str, status: int) -> None:
    if status == 200:
        await api.container.accounts().add("alice", password)
    for form in ("NFC", "NFD"):
        spelled = unicodedata.normalize(form, password) if len(password) < 10_000 else password
        answer = await api.anonymous().post("/token", data=credentials("alice", spelled))
        assert answer.status_code == status, (form, answer.text)
