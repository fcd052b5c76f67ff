-- For wrk: sends signed webhooks from the file that DELIVERIES names (`neff sandbox deliveries`), each thread its own part.
local threads = 0

function setup(thread)
    thread:set("part", threads)
    threads = threads + 1
end

function init()
    wrk.method = "POST"
    wrk.path = "/webhooks/calendly"
    requests = {}
    local number = 0
    for line in io.lines(os.getenv("DELIVERIES")) do
        number = number + 1
        local tab = line:find("\t", 1, true)
        if number % 2 == part % 2 then
            requests[#requests + 1] = wrk.format(nil, nil, {
                ["Content-Type"] = "application/json",
                ["Calendly-Webhook-Signature"] = line:sub(1, tab - 1),
            }, line:sub(tab + 1))
        end
    end
    turn = 0
end

function request()
    turn = turn % #requests + 1
    return requests[turn]
end

