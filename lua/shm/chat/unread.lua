--- What the clients on this machine have not read yet, as their kernel has it.
--
-- The sender of a TCP stream sees no more than that a window opens, and a receiver opens it
-- only once it has room for a large piece. On the same machine /proc/net/tcp tells exactly.
-- @module shm.chat.unread
local M = {}

-- ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT: the states in which a socket is read.
local READS = {["01"] = true, ["04"] = true, ["05"] = true, ["08"] = true}

-- An IPv4 address as it stands in /proc/net/tcp; of an IPv6 one only the port is compared.
local function hexadecimal(host)
  local a, b, c, d = host:match "(%d+)%.(%d+)%.(%d+)%.(%d+)$"
  return a and ("%02X%02X%02X%02X"):format(d, c, b, a) or ""
end

--- How a client's socket is called in what `bytes` gives.
-- @string host its address
-- @int port its port
-- @treturn string
function M.name(host, port)
  return hexadecimal(host) .. ":" .. port
end

--- @int server the port that the clients are connected to
-- @treturn table bytes in the receive buffer, by the name of the socket that holds them
function M.bytes(server)
  local unread = {}
  for path, six in pairs {["/proc/net/tcp"] = false, ["/proc/net/tcp6"] = true} do
    local file <close> = io.open(path)
    for line in file and file:lines() or function() end do
      local host, port, remote, state, bytes =
        line:match "^%s*%d+: (%x+):(%x+) %x+:(%x+) (%x+) %x+:(%x+)"
      if READS[state] and tonumber(remote, 16) == server then
        unread[(six and "" or host) .. ":" .. tonumber(port, 16)] = tonumber(bytes, 16)
      end
    end
  end
  return unread
end

return M
