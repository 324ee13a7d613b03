"""The ids of calls in a history: each is another's, whatever its client's model called them."""


class CallIds:
    """Results are found by the ids of their calls, in all of a thread, and some servers number the calls of each answer
    from one on. So an id that comes again, once the call that had it was answered or left, becomes another here.
    """

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}
        self._open: dict[str, str] = {}

    def asked(self, given: str) -> str:
        """The id of a call. Of one that is open already it is that one's."""
        if given not in self._open:
            ours = given
            if given in self._taken:
                ours = next(other for n in range(2, 10**6) if (other := f"{given}_{n}") not in self._taken)
            self._taken[ours] = given
            self._open[given] = ours
        return self._open[given]

    def answered(self, given: str) -> str:
        """The id of the call that a result is of; as it is given, where there is none."""
        return self._open.pop(given, given)

    def given(self, ours: str) -> str:
        """What the client calls it."""
        return self._taken[ours]

    def forget_open(self) -> None:
        """Something else was said instead: nobody answers them any more."""
        self._open.clear()
