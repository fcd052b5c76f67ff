-- For wrk: sends each delivery of the file that DELIVERIES names once, then stops. One thread only.
function init()
    wrk.method = "POST"
    wrk.path = "/webhooks/calendly"
    lines = io.lines(os.getenv("DELIVERIES"))
    answered = 0
    sent = 0
end

function request()
    local line = lines and lines()
    if not line then
        lines = nil
        -- wrk asks ahead on every connection; what is asked for after the last delivery is cheap and ignored.
        return wrk.format("GET", "/healthz")
    end
    sent = sent + 1
    local tab = line:find("\t", 1, true)
    return wrk.format(nil, nil, {
        ["Content-Type"] = "application/json",
        ["Calendly-Webhook-Signature"] = line:sub(1, tab - 1),
    }, line:sub(tab + 1))
end

function response(status)
    if status == 202 then answered = answered + 1 end
    if not lines and answered >= sent then wrk.thread:stop() end
end
