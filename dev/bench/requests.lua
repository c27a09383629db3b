-- What wrk sends: the requests of a file in turn, each thread its own share of them.
--   wrk ... -s requests.lua URL -- FILE THREADS PREFIX OUTPUT
-- A line of the file is: method, path, token, body, separated by tabs. In a body @@@@@@@@@@@@@@@@ stands for 16
-- characters that no other request has. A refresh token in a body is spent once: its successor is the next to be sent.

local started = 0

function setup(thread)
   thread:set("number", started)
   started = started + 1
end

local UNIQUE, REFRESH = ("@"):rep(16), "rt%.[%w_=-]+"
local requests, position, sent, prefix, chained = {}, 0, 0, "", false

function init(args)
   local share, line_number = tonumber(args[2]), 0
   prefix = args[3]
   for line in io.lines(args[1]) do
      if line_number % share == number then
         local method, path, token, body = line:match("^(.-)\t(.-)\t(.-)\t(.*)$")
         local headers = {["Content-Type"] = "application/json"}
         if token ~= "" then headers["Authorization"] = "Bearer " .. token end
         requests[#requests + 1] = wrk.format(method, path, headers, body ~= "" and body or nil)
         chained = chained or body:find(REFRESH) ~= nil
      end
      line_number = line_number + 1
   end
   if chained then response = succeed end
end

function request()
   if chained then return table.remove(requests, 1) end
   position = position % #requests + 1
   sent = sent + 1
   local unique = ("%s%02d%09d"):format(prefix, number, sent)
   return (requests[position]:gsub(UNIQUE, unique))
end

local sample

function succeed(status, headers, body)
   local successor = body:match('"refresh_token":"(' .. REFRESH .. ')"')
   if successor then
      sample = sample or requests[1]
      requests[#requests + 1] = (sample:gsub(REFRESH, successor))
   end
end

function done(summary, latency)
   local failed = summary.errors
   local file = io.open(os.getenv("BENCH_OUTPUT"), "w")
   file:write(('{"requests": %d, "seconds": %f, "errors": %d, "p50_ms": %f, "p95_ms": %f, "p99_ms": %f}'):format(
      summary.requests, summary.duration / 1e6,
      failed.connect + failed.read + failed.write + failed.status + failed.timeout,
      latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3))
   file:close()
end
