"""How the processes of a worker learn that it is to stop."""

import os
import subprocess
import sys

SCRIPT = """
import os, signal, time
import django
django.setup()
from ftp_deploy.tasks import SharedFlag

flag = SharedFlag()

def look():
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        while not flag.is_set():
            pass
        os._exit(0)
    return child

killed = [look() for _ in range(5)]
last = look()
time.sleep(0.05)
for child in killed:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
signal.signal(signal.SIGALRM, lambda *_: flag.set())
signal.setitimer(signal.ITIMER_REAL, 0.05)
while not flag.is_set():
    pass
print(os.waitpid(last, 0)[1])
"""


def test_neither_a_killed_process_nor_a_signal_in_mid_look_holds_up_the_others() -> None:
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert told.stdout.strip() == "0", told.stderr
