"""A client of a reelfuse server. One file, standard library only, Python >= 3.9: copy it into your project.

    from reelfuse_client import Reelfuse

    reelfuse = Reelfuse("http://127.0.0.1:8080")
    reelfuse.send_events([{"user_id": "u42", "item_id": "v17", "type": "view", "watch_ms": 18000, "duration_ms": 21500}])
    page = reelfuse.recommend(user_id="u42", k=20)

Every call that is refused by 429 or 503 is sent again as Retry-After says; every call that is the same when done twice also after a broken
connection. Events carry an event_id and batches an idempotency key, made before the first attempt: nothing is counted twice. What is left
is raised as ReelfuseProblem or ReelfuseUnreachable. A client may be used by many threads.
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import json
import math
import numbers
import random
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import PurePath
from typing import Any

Json = dict[str, Any]

REFUSED = {429, 503}  # before anything was done
UNKNOWN = {502, 504}  # a proxy does not know what became of the request behind it


class ReelfuseProblem(Exception):  # noqa: N818
    """The server has refused a request: problem details of RFC 9457. Decide by `code`; `errors` has a JSON pointer for each wrong field."""

    def __init__(self, status: int, body: Json, retry_after: float | None, attempts: int) -> None:
        self.status = status
        self.code = _text(body.get("code")) or f"http_{status}"
        self.detail = _text(body.get("detail")) or "the answer is not a problem document"
        self.errors = _field_errors(body.get("errors"))
        self.request_id = _text(body.get("request_id"))
        self.retry_after = retry_after
        self.attempts = attempts
        fields = "; ".join(f"{error['pointer']} {error['detail']}".strip() for error in self.errors)
        super().__init__(f"{status} {self.code}: {self.detail}" + (f" ({fields})" if fields else ""))


def _text(value: Any) -> str | None:
    """Proxies answer as well, in forms of their own."""
    return value if isinstance(value, str) else None


def _field_errors(value: Any) -> list[Json]:
    given = value if isinstance(value, list) else []
    return [error for error in given if isinstance(error, dict) and _text(error.get("pointer")) is not None and _text(error.get("detail"))]


class ReelfuseUnreachable(Exception):  # noqa: N818
    """No answer came; the cause has the reason."""

    def __init__(self, message: str, attempts: int) -> None:
        super().__init__(message)
        self.attempts = attempts


def hidden_states(array: Any) -> Json:
    """Hidden states of an item as they travel in JSON.

    `array`: NumPy, or whatever else has a buffer, [layers, hidden size]. float16 and float32 travel as they are, other floats of
    NumPy as float32.
    """
    kind = getattr(getattr(array, "dtype", None), "kind", None)
    if kind == "f" and (array.dtype.itemsize not in (2, 4) or not array.dtype.isnative):
        array = array.astype("float32")
    view = memoryview(array)
    dtype = {"e": "float16", "f": "float32"}.get(view.format)
    if dtype is None or view.ndim != 2 or sys.byteorder != "little":
        raise ValueError(
            f"hidden states are [layers, hidden size] of little-endian float16 or float32, not {view.shape} of {view.format!r}"
        )
    return {"dtype": dtype, "shape": list(view.shape), "data": base64.b64encode(view.tobytes()).decode()}


def _encoded(body: Any) -> bytes:
    return json.dumps(_plain(body, ""), allow_nan=False).encode()


def _plain(value: Any, pointer: str) -> Any:
    """A value as JSON has it: NumPy and pandas scalars and arrays, datetimes, decimals and paths included.

    Raises ValueError that names the JSON pointer of what has no form in JSON: NaN, infinity, NaT, NA, bytes, a time without a zone.
    """
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{pointer}: the name {key!r} is not text")
        return {key: _plain(part, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}") for key, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(part, f"{pointer}/{number}") for number, part in enumerate(value)]
    if isinstance(value, datetime) or type(value).__name__ in ("NaTType", "NAType"):
        return _time(value, pointer)
    if isinstance(value, (date, PurePath)):
        return str(value)
    if isinstance(value, (float, Decimal)):
        if not math.isfinite(value):
            raise ValueError(f"{pointer}: {value} is no number of JSON: leave the field out, or send None")
        return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else float(value)
    if hasattr(value, "tolist"):  # NumPy
        return _plain(value.tolist(), pointer)
    if isinstance(value, numbers.Integral):
        return int(value)
    raise ValueError(f"{pointer}: {type(value).__name__} has no form in JSON")


def _time(value: Any, pointer: str) -> str:
    if type(value).__name__ in ("NaTType", "NAType"):
        raise ValueError(f"{pointer}: {value} is no value of JSON: leave the field out, or send None")
    if value.tzinfo is None:
        raise ValueError(f"{pointer}: {value} has no time zone: give it one, for example datetime.now(timezone.utc)")
    return value.isoformat(timespec="milliseconds")


class Reelfuse:
    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8080",
        api_key: str | None = None,
        timeout: float = 60.0,
        max_attempts: int = 4,
        first_delay: float = 0.2,
        max_delay: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Times are seconds. A Retry-After beyond `max_delay` is not waited for: the problem is raised, and says when."""
        self._base = base_url.rstrip("/")
        self._headers = {"accept": "application/json"}
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._timeout = timeout
        self._max_attempts = max_attempts
        self._first_delay = first_delay
        self._max_delay = max_delay
        self._sleep = sleep

    # recommendations

    def recommend(self, **request: Any) -> Json:
        """The next k items; the fields of POST /v1/recommendations as keywords: user_id, history, k, filter, diversity, …"""
        return self._call("POST", "/v1/recommendations", request)

    def feed(self, **request: Any) -> Iterator[Json]:
        """Page after page of one session, until `end_reason` says why there is no next one."""
        while True:
            page = self.recommend(**request)
            yield page
            if page["next_cursor"] is None:
                return
            request["cursor"] = page["next_cursor"]

    def recommend_for_user(self, user_id: str, **query: Any) -> Json:
        if "filter" in query:
            query["filter"] = json.dumps(query["filter"])
        return self._call("GET", f"/v1/users/{_segment(user_id)}/recommendations", query=query)

    def recommend_batch(self, requests: list[Json]) -> list[Json]:
        """One result a request, in order; each has its own status."""
        return self._call("POST", "/v1/recommendations/batch", {"requests": requests})["results"]

    def similar_items(self, item_id: str, **request: Any) -> Json:
        return self._call("POST", f"/v1/items/{_segment(item_id)}/similar", request)

    def replay_recommendation(self, recommendation_id: str) -> Json:
        return self._call("GET", f"/v1/recommendations/{_segment(recommendation_id)}")

    # items

    def put_item(
        self, item_id: str, item: Json, *, wait: str | None = None, if_match: int | str | None = None, if_absent: bool = False
    ) -> Json:
        """Creates or replaces. `if_match`: only while the item is at this sequence ("*": is there); `if_absent`: only when it is not."""
        return self._write("PUT", item_id, item, wait, if_match, if_absent)

    def patch_item(self, item_id: str, change: Json, *, wait: str | None = None, if_match: int | str | None = None) -> Json:
        """What is absent stays, None clears."""
        return self._write("PATCH", item_id, change, wait, if_match, False)

    def delete_item(self, item_id: str, *, if_match: int | str | None = None) -> Json:
        return self._write("DELETE", item_id, None, None, if_match, False)

    def get_item(self, item_id: str) -> Json:
        return self._call("GET", f"/v1/items/{_segment(item_id)}")

    def list_items(self, **query: Any) -> Json:
        """One page: limit, cursor, state, availability."""
        return self._call("GET", "/v1/items", query=query)

    def items(self, **query: Any) -> Iterator[Json]:
        """Every item, page after page."""
        yield from self._pages(self.list_items, "items", query)

    def put_items(self, items: list[Json], *, wait: str | None = None, idempotency_key: str | None = None) -> list[Json]:
        """Up to 1,000 items in one call; one result each, in order. A row that is refused does not raise."""
        headers = {"idempotency-key": idempotency_key or secrets.token_hex(16)}
        return self._call("POST", "/v1/items/batch", {"items": items}, query={"wait": wait}, headers=headers)["results"]

    def import_items(
        self, items: Iterable[Json], *, wait: str | None = None, max_rows: int = 1000, max_bytes: int = 8 * 1024 * 1024
    ) -> Iterator[Json]:
        """Any number of items from any source, in constant memory: NDJSON bodies of bounded size, each with an idempotency key of its own.

        Yields one result a row, in order, with `row` counted from 0. A broken connection costs a body, not the import.
        """
        row = 0
        for lines in _bodies(items, max_rows, max_bytes):
            while lines:
                headers = {"content-type": "application/x-ndjson", "idempotency-key": secrets.token_hex(16)}
                answer = self._call("POST", "/v1/items/batch", b"".join(lines), query={"wait": wait}, headers=headers)
                results = answer["results"]
                if not results:
                    raise RuntimeError(f"the server has answered none of {len(lines)} rows")
                for result in results:
                    yield {**result, "row": row}
                    row += 1
                lines = lines[len(results) :]  # a row that is longer than the server reads ends a body

    def list_attributes(self) -> list[Json]:
        """Every attribute that an item has carried or that is declared, by name."""
        return self._call("GET", "/v1/attributes")["attributes"]

    def get_attribute(self, name: str) -> Json:
        return self._call("GET", f"/v1/attributes/{_segment(name)}")

    def declare_attribute(self, name: str, type: str) -> Json:
        """`type`: string, number, boolean, time or strings. From then on items with another type are refused."""
        return self._call("PUT", f"/v1/attributes/{_segment(name)}", {"type": type})

    def delete_attribute(self, name: str) -> Json:
        """Only while no item carries it."""
        return self._call("DELETE", f"/v1/attributes/{_segment(name)}", is_idempotent=False)

    def get_map(self, **query: Any) -> Json:
        """A sample of the catalogue on a plane."""
        return self._call("GET", "/v1/map", query=query)

    def place_items(self, item_ids: list[str]) -> Json:
        """Where given items stand on it; those without a vector are left out."""
        return self._call("POST", "/v1/map/positions", {"item_ids": item_ids})

    # events and users

    def send_events(self, events: list[Json]) -> Json:
        """Up to 10,000 events. Without an event_id one is made, without `at` it is now. Rejected ones are in the answer."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        named = [{"event_id": secrets.token_hex(16), "at": now, **event} for event in events]
        return self._call(
            "POST", "/v1/events", {"events": named}, answers=lambda status, kind: status == 422 and kind == "application/json"
        )

    def get_history(self, user_id: str, **query: Any) -> Json:
        return self._call("GET", f"/v1/users/{_segment(user_id)}/history", query=query)

    def erase_user(self, user_id: str) -> Json:
        """`complete` is False while a backup keeps the files from being cleaned; no answer knows the user in either case."""
        return self._call("DELETE", f"/v1/users/{_segment(user_id)}")

    def list_users(self, **query: Any) -> Json:
        return self._call("GET", "/v1/users", query=query)

    def users(self, **query: Any) -> Iterator[Json]:
        """Every user with a history, page after page."""
        yield from self._pages(self.list_users, "users", query)

    # models and operations

    def list_models(self) -> Json:
        return self._call("GET", "/v1/models")

    def register_model(self, folder: str) -> Json:
        """`folder`: absolute path on the server."""
        return self._call("POST", "/v1/models", {"folder": folder})

    def activate_model(self, fingerprint: str) -> Json:
        return self._call("POST", f"/v1/models/{_segment(fingerprint)}/activate")

    def report_quality(self, **query: Any) -> Json:
        return self._call("GET", "/v1/reports/quality", query=query)

    def list_replicas(self) -> Json:
        return self._call("GET", "/v1/replicas")

    def list_snapshots(self) -> list[Json]:
        return self._call("GET", "/v1/snapshots")["snapshots"]

    def write_snapshot(self) -> Json:
        return self._call("POST", "/v1/snapshots", is_idempotent=False)

    def live(self) -> Json:
        return self._call("GET", "/livez")

    def ready(self) -> Json:
        """Does not wait: `starting` is an answer."""
        return self._call("GET", "/readyz", answers=lambda status, _: status == 503)

    def metrics(self) -> str:
        """In Prometheus' text format."""
        return self._send("GET", "/metrics", headers={"accept": "text/plain"})

    # how calls are made

    def _write(self, method: str, item_id: str, body: Json | None, wait: str | None, if_match: int | str | None, if_absent: bool) -> Json:
        headers = {}
        if if_match is not None:
            headers["if-match"] = "*" if if_match == "*" else f'"{if_match}"'
        if if_absent:
            headers["if-none-match"] = "*"
        # a second one would find what the first has written, and be refused
        once = not headers and method != "DELETE"
        return self._call(method, f"/v1/items/{_segment(item_id)}", body, query={"wait": wait}, headers=headers, is_idempotent=once)

    def _pages(self, read: Callable[..., Json], name: str, query: Json) -> Iterator[Json]:
        while True:
            page = read(**query)
            yield from page[name]
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]

    def _call(self, *given: Any, **options: Any) -> Any:
        return json.loads(self._send(*given, **options))

    def _send(
        self,
        method: str,
        path: str,
        body: Json | bytes | None = None,
        *,
        query: Json | None = None,
        headers: dict[str, str] | None = None,
        is_idempotent: bool = True,
        answers: Callable[[int, str], bool] = lambda status, kind: False,
    ) -> str:
        """Sends until there is an answer, a refusal that stays, or no attempt left. Returns the body's text."""
        data = body if body is None or isinstance(body, bytes) else _encoded(body)
        content = {} if data is None else {"content-type": "application/json"}
        request = urllib.request.Request(
            f"{self._base}{path}{_query(query or {})}", data=data, method=method, headers={**self._headers, **content, **(headers or {})}
        )
        attempts = 0
        while True:
            attempts += 1
            asked = None
            try:
                try:
                    with urllib.request.urlopen(request, timeout=self._timeout) as response:
                        return response.read().decode()
                except urllib.error.HTTPError as error:
                    status, answered = error.code, error.headers
                    text = error.read().decode(errors="replace")  # may break off as any answer
                if answers(status, answered.get_content_type()):
                    return text
                asked = _retry_after(answered.get("retry-after"))
                problem = ReelfuseProblem(status, _object(text), asked, attempts)
                again = (
                    problem.status in REFUSED or problem.code == "idempotency_key_in_use" or (problem.status in UNKNOWN and is_idempotent)
                )
                if not again or attempts >= self._max_attempts or (asked or 0) > self._max_delay:
                    raise problem from None
            except (OSError, http.client.HTTPException) as error:
                if not is_idempotent or attempts >= self._max_attempts:
                    raise ReelfuseUnreachable(f"{method} {path} at {self._base}: {error}", attempts) from error
            # never earlier than the server says, and spread, so that those who were refused together do not come back together
            if asked is not None:
                self._sleep(asked * (1 + random.random() / 4))
            else:
                self._sleep(min(self._max_delay, self._first_delay * 2 ** (attempts - 1)) * (0.5 + random.random() / 2))


def _segment(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _query(query: Json) -> str:
    def text(value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        return ",".join(value) if isinstance(value, (list, tuple)) else str(value)

    pairs = {name: text(value) for name, value in query.items() if value is not None}
    return f"?{urllib.parse.urlencode(pairs)}" if pairs else ""


def _object(text: str) -> Json:
    """Whatever the body is: a proxy's HTML becomes a problem too."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _retry_after(header: str | None) -> float | None:
    """Seconds from now; the header has seconds or a date."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _line(item: Json) -> bytes:
    try:
        return _encoded(item) + b"\n"
    except ValueError as error:
        try:
            return json.dumps(item).encode() + b"\n"  # with NaN, which the server refuses in the result of the row
        except TypeError:
            raise error from None


def _bodies(items: Iterable[Json], max_rows: int, max_bytes: int) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    size = 0
    for item in items:
        line = _line(item)
        if lines and (len(lines) >= max_rows or size + len(line) > max_bytes):
            yield lines
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        yield lines
