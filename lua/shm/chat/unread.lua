--- What the clients on this machine have not read yet, as their kernel has it.
--
-- The sender of a TCP stream sees no more than that a window opens, and a receiver opens it
-- only once it has room for a large piece. On the same machine /proc/net/tcp tells exactly.
-- @module shm.chat.unread

local ESTABLISHED, CLOSE_WAIT = "01", "08"

--- @treturn table bytes in the receive buffer, by the port of the socket that holds them
return function()
  local unread = {}
  for _, path in ipairs {"/proc/net/tcp", "/proc/net/tcp6"} do
    local file <close> = io.open(path)
    for line in file and file:lines() or function() end do
      local port, state, bytes =
        line:match "^%s*%d+: %x+:(%x+) %x+:%x+ (%x+) %x+:(%x+)"
      if state == ESTABLISHED or state == CLOSE_WAIT then
        unread[tonumber(port, 16)] = tonumber(bytes, 16)
      end
    end
  end
  return unread
end
