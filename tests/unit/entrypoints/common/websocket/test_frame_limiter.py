"""How much a client may send."""

from chatorch.entrypoints.common.websocket.frame_limiter import MAX_REFUSED, WINDOW_S, FrameLimiter


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_so_many_frames_are_let_through_and_so_many_more_are_answered():
    flood = FrameLimiter(100, Time())
    states = []
    for _ in range(100 + MAX_REFUSED + 1):
        flood.count()
        states.append((flood.over, flood.hopeless))
    assert states == [(False, False)] * 100 + [(True, False)] * MAX_REFUSED + [(True, True)]


def test_a_window_begins_with_its_first_frame():
    time = Time()
    flood = FrameLimiter(2, time)
    over = []
    for now in (7.0, 7.5, 7.0 + WINDOW_S - 0.1, 7.0 + WINDOW_S, 8.0 + WINDOW_S, 9.0 + WINDOW_S, 100.0):
        time.now = now
        flood.count()
        over.append(flood.over)
    assert over == [False, False, True, False, False, True, False]
