"""Arrays that a kernel writes to without counting references."""

from typing import Any

import numba
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray


def _borrow(_: Any, array: Any) -> Any:
    """Of numba's typing: the same type of array, made by clearing who owns the memory."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        view = context.make_array(array)(context, builder, value=arguments[0])
        view.meminfo = cgutils.get_null_value(view.meminfo.type)
        return view._getvalue()

    return array(array), generate


def _same(array: NDArray[Any]) -> NDArray[Any]:
    return array


# numba counts an array's references, atomically, wherever a function with a loop is handed it:
# with one such function for each number, that took as long as the digits. The array lives as long
# as its kernel runs, so the kernel's helpers get a view that owns nothing.
borrowed = _same if numba.config.DISABLE_JIT else intrinsic(_borrow)
