"""On the PYTHONPATH of an instance: its wall clock goes wrong by as much as a file says."""

import os
import time

_path = os.environ.get("FAULTS_CLOCK_FILE", "")
_time, _time_ns = time.time, time.time_ns
_state = [0.0, 0.0]  # when the file was read last, and the seconds that it said


def _shift_s() -> float:
    now_s = time.monotonic()
    if now_s - _state[0] > 0.05:
        _state[0] = now_s
        try:
            with open(_path) as file:
                _state[1] = float(file.read() or 0)
        except (OSError, ValueError):
            pass  # being written: as it was
    return _state[1]


def _shifted() -> float:
    return _time() + _shift_s()


def _shifted_ns() -> int:
    return _time_ns() + int(_shift_s() * 1e9)


if _path:
    time.time, time.time_ns = _shifted, _shifted_ns
