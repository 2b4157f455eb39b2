-- Requests for wrk. Arguments: file of rows, per cent of known requests, rows in a request, kind of batch
-- (whole: a known batch is one of those primed; mixed: the known per cent is of each batch's rows), how many are
-- known, the first number of the new rows, path.
--
-- A line of the file is a row up to its first cell, a tab, and the rest. A known row has 0.0 there; a new one a number
-- that was never sent before, so that it is a row like the others and yet unlike all of them.

local rows, heads, tails = {}, {}, {}
local share, size, kind, known, number, path
local ready = {}
local asked, owed = 0, 0

local function request_of(list)
    local body = '{"data": [' .. table.concat(list, ", ") .. "]}"
    return "POST " .. path .. " HTTP/1.1\r\nHost: " .. wrk.headers["Host"]
        .. "\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

local function new_row()
    number = number + 1
    local at = number % #heads + 1
    return string.format("%s0.%015d%s", heads[at], number, tails[at])
end

function init(arguments)
    local file = arguments[1]
    share, size, kind = tonumber(arguments[2]), tonumber(arguments[3]), arguments[4]
    known, number, path = tonumber(arguments[5]), tonumber(arguments[6]), arguments[7]
    for line in io.lines(file) do
        local head, tail = line:match("^(.-)\t(.*)$")
        heads[#heads + 1], tails[#tails + 1] = head, tail
        rows[#rows + 1] = head .. "0.0" .. tail
    end
    if kind == "whole" then
        for first = 0, known - 1 do
            local list = {}
            for at = 0, size - 1 do
                list[at + 1] = rows[(first * size + at) % #rows + 1]
            end
            ready[first + 1] = request_of(list)
        end
    end
    math.randomseed(number)
end

function request()
    asked = asked + 1
    if kind == "whole" then
        owed = owed + share
        if owed >= 100 then
            owed = owed - 100
            return ready[asked % known + 1]
        end
    end
    local list = {}
    for at = 1, size do
        if kind == "mixed" and at * share % 100 < share then
            list[at] = rows[math.random(known)]
        else
            list[at] = new_row()
        end
    end
    return request_of(list)
end
