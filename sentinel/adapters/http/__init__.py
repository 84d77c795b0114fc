"""The listener of an instance: a few pages over HTTP, in the loop that scores.

The server itself is in `listener`, which is imported where one is wanted: it takes a tenth of a
second.
"""

from sentinel.adapters.http.params import HttpParams as HttpParams
from sentinel.adapters.http.params import Page as Page
from sentinel.adapters.http.params import PageAnswer as PageAnswer
