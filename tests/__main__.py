"""`python -m tests`: compile the kernels before the tests run."""

from tests import kernels

kernels.warm()
