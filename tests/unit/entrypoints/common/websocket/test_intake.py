"""What a WebSocket's client may send beside messages."""

from chatorch.entrypoints.common.websocket.intake import MAX_FRAGMENTS, MAX_FRAMES, MAX_UNREAD_PONGS, WINDOW_S, Intake


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_so_many_frames_in_a_window():
    time = Time()
    intake = Intake(time)
    assert [intake.frame() for _ in range(MAX_FRAMES + 1)] == [True] * MAX_FRAMES + [False]
    time.now = WINDOW_S
    assert intake.frame()


def test_a_message_has_an_end_however_slowly_its_parts_come():
    time = Time()
    intake = Intake(time)
    for number in range(MAX_FRAGMENTS + 1):
        time.now = number * WINDOW_S
        assert intake.fragment(last=False) is (number < MAX_FRAGMENTS)
    assert intake.fragment(last=True)
    assert intake.fragment(last=False)


def test_pongs_that_nobody_reads_are_counted_until_somebody_does():
    intake = Intake(Time())
    for _ in range(2):
        assert [intake.unread_pong() for _ in range(MAX_UNREAD_PONGS + 1)] == [True] * MAX_UNREAD_PONGS + [False]
        intake.reads()
