-- Whole requests drawn by Zipf's law, s = 1; totals as wrk.lua tells them. `wrk ... -- FOLDER COUNT SEED`
local requests, sums = {}, {}

function init(args)
  local total = 0
  math.randomseed(tonumber(args[3]))
  for i = 1, tonumber(args[2]) do
    local file = assert(io.open(args[1] .. "/" .. i, "rb"))
    requests[i] = file:read("*a")
    file:close()
    total = total + 1 / i
    sums[i] = total
  end
end

function request()
  local drawn, low, high = math.random() * sums[#sums], 1, #sums
  while low < high do
    local middle = math.floor((low + high) / 2)
    if sums[middle] < drawn then low = middle + 1 else high = middle end
  end
  return requests[low]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\n{"seconds":%f,"answered":%d,"bad":%d,"p50_ms":%f,"p99_ms":%f}\n',
    summary.duration / 1e6, summary.requests,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
