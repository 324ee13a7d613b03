"""Who is there, out of what is heard twice, late or not at all."""

from hypothesis import given
from hypothesis import strategies as st

from chatorch.adapters.redis.device_sets import DeviceSet
from chatorch.domain.model.presence import ClientId, PresenceChanged, PresenceStatus

PHONE, TABLET = ClientId("phone"), ClientId("tablet")


def joined(client_id: ClientId) -> PresenceChanged:
    return PresenceChanged(client_id, PresenceStatus.JOINED)


def left(client_id: ClientId) -> PresenceChanged:
    return PresenceChanged(client_id, PresenceStatus.LEFT)


def known(*there: ClientId) -> DeviceSet:
    device_set = DeviceSet()
    assert device_set.answered(device_set.asking(), there) == []
    return device_set


def test_what_is_heard_twice_is_told_once():
    device_set = known()

    assert device_set.hear(joined(PHONE)) == [joined(PHONE)]
    assert device_set.hear(joined(PHONE)) == []
    assert device_set.hear(left(PHONE)) == [left(PHONE)]
    assert device_set.hear(left(PHONE)) == []


def test_who_was_there_before_is_no_news_but_its_leaving_is():
    assert known(PHONE).hear(joined(PHONE)) == []
    assert known(PHONE).hear(left(PHONE)) == [left(PHONE)]
    assert known().hear(left(PHONE)) == []


def test_a_later_answer_tells_what_was_not_heard():
    device_set = known(PHONE)

    assert device_set.answered(device_set.asking(), [TABLET]) == [joined(TABLET), left(PHONE)]


def test_what_is_heard_before_the_answer_decides():
    device_set = known(PHONE)
    question = device_set.asking()

    assert device_set.hear(joined(TABLET)) == []
    assert device_set.answered(question, [PHONE]) == [joined(TABLET)]
    assert device_set.hear(joined(TABLET)) == []


def test_without_an_answer_what_was_heard_is_told():
    device_set = known()
    question = device_set.asking()
    device_set.hear(joined(PHONE))

    assert device_set.answered(question, None) == [joined(PHONE)]


def test_an_answer_to_an_earlier_question_is_ignored():
    device_set = known(PHONE)
    earlier, later = device_set.asking(), device_set.asking()

    assert device_set.answered(earlier, []) == []
    assert device_set.answered(later, [PHONE]) == []
    assert device_set.hear(left(PHONE)) == [left(PHONE)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), max_size=30), st.integers(0, 30))
def test_those_who_were_told_know_at_the_end_who_is_there(steps: list[tuple[str, bool, bool]], asked_at: int):
    """Some changes are lost; a question that comes after them puts it right, whatever is heard before its answer."""
    device_set, there, told = known(), set[ClientId](), set[ClientId]()

    def tell(news: list[PresenceChanged]) -> None:
        for change in news:
            assert (change.client_id in told) is (change.status is PresenceStatus.LEFT), "each is told once"
            told.symmetric_difference_update((change.client_id,))

    def happen(name: str, comes: bool, lost: bool) -> None:
        change = joined(ClientId(name)) if comes else left(ClientId(name))
        (there.add if comes else there.discard)(change.client_id)
        if not lost:
            tell(device_set.hear(change))

    before, after = steps[:asked_at], steps[asked_at:]
    for name, comes, lost in before:
        happen(name, comes, lost)
    question, answer = device_set.asking(), set[ClientId]()
    for number, (name, comes, _) in enumerate(after):
        if number == len(after) // 2:
            answer = set(there)
        happen(name, comes, False)
    tell(device_set.answered(question, answer if after else there))

    assert told == there
