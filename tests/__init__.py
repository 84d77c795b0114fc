"""Tests. Their kernels' folder is named before anything imports numba."""

from tests import kernels

kernels.settle()
