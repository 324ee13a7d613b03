"""What process 1 of a container has to do beside its work (pid_namespaces(7)).

The kernel drops a signal to it that it has not asked for, and gives it every process whose parent has died: those stay
as zombies until it waits for them.
"""

import os
import signal

FAULTS = {
    *(signal.SIGKILL, signal.SIGSTOP),
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGSYS),
}
"""Cannot be waited for, or must not be."""


def be_init() -> None:
    """Returns in a child process, which does the work. This one passes signals on to it, waits for whoever ends, and
    ends as the child does: a child that is killed by a signal counts as 128 and its number."""
    awaited = signal.valid_signals() - FAULTS
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)  # none is lost from here on: they wait
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    while True:
        info = signal.sigwaitinfo(awaited)
        if info.si_signo == signal.SIGCHLD:
            _reap(child)
        elif info.si_code <= 0:  # some process's; what a terminal sends, its whole group is sent, so the child too
            os.kill(child, info.si_signo)


def _reap(child: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
