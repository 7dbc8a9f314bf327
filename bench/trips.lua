-- A message there and back through a link, which counts as one.
local rounds = require "bench.rounds"

local M = {}

--- An entry: this process asks with what is given, and a partner answers with what it got.
function M.through(how, size, message)
  local entry, link = {name = how.name, kind = how.kind}, nil
  function entry.start()
    local why
    link, why = how.open(size, 2)
    return link, why
  end
  function entry.partner(n)
    link.within(function()
      local send, receive = link.sender(2), link.receiver(1)
      for _ = 1, n do
        send(receive())
      end
    end)
  end
  function entry.run(n)
    return link.within(function()
      local send, receive = link.sender(1), link.receiver(2)
      return rounds.batches(n, function(times)
        for _ = 1, times do
          send(message)
          receive()
        end
      end)
    end)
  end
  function entry.stop()
    link.close()
  end
  return entry
end

return M
