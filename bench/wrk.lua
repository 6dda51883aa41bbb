-- Whole requests from files, in turn; the totals as one JSON line. `wrk ... -- FILE...`
local requests, turn = {}, 0

function init(args)
  for _, path in ipairs(args) do
    local file = assert(io.open(path, "rb"))
    requests[#requests + 1] = file:read("*a")
    file:close()
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\n{"seconds":%f,"answered":%d,"bad_statuses":%d,"broken":%d,"mean_ms":%f,"p50_ms":%f,' ..
    '"p99_ms":%f,"p999_ms":%f,"max_ms":%f}\n',
    summary.duration / 1e6, summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, latency.mean / 1e3,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3,
    latency.max / 1e3))
end
