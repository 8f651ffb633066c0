"""Run by python.test.ts with the URL of a proxy before a server that has clips 1 to 30, and a clip's states. PUT /faults sets faults."""

import base64
import json
import struct
import sys
import urllib.request
from array import array
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import PurePosixPath

from reelfuse_client import Reelfuse, ReelfuseProblem, ReelfuseUnreachable, hidden_states

url = sys.argv[1]
waits = []
reelfuse = Reelfuse(url, first_delay=0.001, sleep=waits.append)


def faults(*given):
    urllib.request.urlopen(urllib.request.Request(f"{url}/faults", data=json.dumps(given).encode(), method="PUT")).read()


def refused(call, kind=ReelfuseProblem):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError("was not refused")


def busy(retry_after):
    return {"kind": "answer", "status": 503, "headers": {"retry-after": retry_after}}


lost = {"kind": "answer lost"}
answer = {}

# events whose answer was lost are counted once; refusals are waited for as long as the server says
faults(lost, busy("3"))
events = [{"user_id": "u", "item_id": f"clip-000{n}", "type": "view"} for n in (1, 2)]
sent = reelfuse.send_events(events)
answer["events"] = [sent["accepted"], sent["duplicates"]]
answer["waits"] = waits[:]
answer["history"] = [entry["item_id"] for entry in reelfuse.get_history("u")["items"]]

# a batch whose answer was lost is answered as the first time
faults(lost)
answer["batch"] = [result["status"] for result in reelfuse.put_items([{"item_id": "a"}, {"item_id": "b"}])]

# what pandas and datetime give travels as JSON has it; what has no form in JSON is named before anything is sent
now = datetime.now(timezone.utc)
odd = {"item_id": "odd", "available_from": now, "attributes": {"price": Decimal("1.5"), "count": Decimal(3), "file": PurePosixPath("a/b")}}
answer["odd"] = [result["status"] for result in reelfuse.put_items([odd])] + [reelfuse.get_item("odd")["attributes"]]
nan, naive = {"item_id": "n", "attributes": {"x": float("nan")}}, {"item_id": "n", "available_from": datetime(2026, 1, 1)}
unfit = [refused(lambda row=row: reelfuse.put_items([{"item_id": "m"}, row]), ValueError) for row in (nan, naive)]
answer["unfit"] = [str(error).split(":")[0] for error in unfit]
answer["rows"] = [result["status"] for result in reelfuse.import_items([nan, {"item_id": "m"}])]
answer["datetime"] = reelfuse.send_events([{"user_id": "t", "item_id": "m", "type": "skip", "at": now}])["accepted"]

# an import tells each row what became of it
faults(lost)
rows = ({"item_id": f"n{n}"} if n != 15 else {"item_id": "n15", "colour": 1} for n in range(25))
answer["import"] = [(result["row"], result["status"]) for result in reelfuse.import_items(rows, max_rows=10)]

# what would not be the same when done twice is not sent again
faults(lost)
answer["once"] = refused(lambda: reelfuse.delete_item("a"), ReelfuseUnreachable).attempts

# attempts are bounded; a wait that is too long is not begun
faults(busy("0"), busy("0"), busy("0"), busy("0"))
answer["bounded"] = refused(reelfuse.live).attempts
faults(busy("3600"))
hour = refused(reelfuse.live)
answer["hour"] = [hour.attempts, hour.retry_after, hour.code]

# a proxy answers in a form of its own, and what can be sent again is
odd = {"kind": "answer", "status": 502, "body": json.dumps({"errors": ["no route"], "detail": 5, "code": {}})}
faults(odd)
answer["proxied"] = reelfuse.get_item("clip-0001")["item_id"]
faults(odd)
proxied = refused(lambda: reelfuse.delete_item("b"))
answer["proxy"] = [proxied.code, proxied.errors, str(proxied)]

# problems are told by code and pointers
wrong = refused(lambda: reelfuse.recommend(user_id="u", k=501))
answer["wrong"] = [wrong.status, wrong.code, [error["pointer"] for error in wrong.errors], str(wrong)]
answer["rejected"] = reelfuse.send_events([{"event_id": "e", "user_id": "u", "item_id": "x", "type": "glance"}])["rejected"][0]["errors"][
    0
]["pointer"]

# a feed goes on without repeating an item
answer["feed"] = [item["item_id"] for page in reelfuse.feed(user_id="u", k=10) for item in page["items"]]
first = reelfuse.recommend_for_user("u", k=1, filter={"field": "author_id", "eq": "a1"}, fields=["title"], exact=True)
answer["title"] = first["items"][0]["item"]["title"]
answer["users"] = [user["user_id"] for user in reelfuse.users(limit=1)]
answer["items"] = sum(1 for _ in reelfuse.items(limit=7, state="searchable"))
created = reelfuse.put_item("p/1?", {"title": "pasta"})
reelfuse.patch_item("p/1?", {"title": "fresh pasta"}, if_match=created["sequence"])
answer["patched"] = reelfuse.get_item("p/1?")["title"]

# hidden states come from any two-dimensional buffer of floats
given = json.loads(sys.argv[2])
layers, width = given["shape"]
values = struct.unpack(f"<{layers * width}{'e' if given['dtype'] == 'float16' else 'f'}", base64.b64decode(given["data"]))
floats = memoryview(array("f", values)).cast("B").cast("f", shape=[layers, width])
answer["states"] = reelfuse.put_item("h", {"hidden_states": hidden_states(floats)})["state"]
answer["flat"] = str(refused(lambda: hidden_states(array("f", values)), ValueError))
print(json.dumps(answer))
