-- wrk script: posts batches of $EVENTS new events each; prints the same line as load.lua
local size, at, run = tonumber(os.getenv("EVENTS")), 0, os.getenv("RUN")
local event = '{"event_id":"%s-%d","user_id":"u%d","item_id":"item-%d","type":"view","at":"2026-11-24T10:00:%02dZ","watch_ms":9000,"duration_ms":12000}'
function request()
  local events = {}
  for n = 1, size do
    at = at + 1
    events[n] = string.format(event, run, at, math.random(100000), math.random(20000), at % 60)
  end
  return wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, '{"events":[' .. table.concat(events, ",") .. "]}")
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %.1f %.3f %.3f %.3f %d\n", summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
