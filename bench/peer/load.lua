-- wrk script: goes through the request bodies of $BODIES in a circle; prints one line
-- "RESULT requests/s p50_ms p99_ms p99.9_ms errors"; an answer that is not 2xx or 3xx is an error
local requests, at = {}, 0
function init()
  for body in io.lines(os.getenv("BODIES")) do
    requests[#requests + 1] = wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, body)
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %.1f %.3f %.3f %.3f %d\n", summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
