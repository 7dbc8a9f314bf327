#!/usr/bin/env lua5.4
--- The command `shm`: what the modules do, from a shell.
-- @script shm
local argparse = require "argparse"

local parser = argparse("shm", "The group chat of the Lua module shm, from a shell.")
parser:require_command(true)

-- argparse would print its usage too; one line says it.
function parser.error(where, message)
  local command = where == parser and "shm" or "shm " .. where._name
  io.stderr:write("shm: ", message:gsub("%s*\n%s*", "; "), " (see ", command, " --help)\n")
  os.exit(1)
end

parser:add_help_command()
parser._commands[1].error = parser.error
parser:flag("--version", "Print the version, and exit."):action(function()
  local written, message = io.write(require("shm")._VERSION, "\n")
  if written then
    written, message = io.stdout:flush()
  end
  if not written then
    io.stderr:write("shm: standard output: ", message, "\n")
  end
  os.exit(written and 0 or 1)
end)

local function whole(name)
  return function(word)
    return math.tointeger(word), ("%s: '%s' is not a whole number"):format(name, word)
  end
end

local function number(name)
  return function(word)
    return tonumber(word), ("%s: '%s' is not a number"):format(name, word)
  end
end

local serve = parser:command("serve", "Run the group chat's server until Ctrl-C.")
  :epilog "SIGHUP ends the clients, and serves on with what was said."
serve.error = parser.error
serve:option("--host", "Address to listen on.", "127.0.0.1")
serve:option("--port", "Port to listen on; 0 for any.", "9523"):convert(whole "port")
serve:option("--unix", "Listen on this Unix-domain socket, too."):argname "PATH"
serve:flag("--no-tcp", "Listen on no port.")
serve:option("--keep", "Keep what is said in shared memory of this name, for the next server.")
  :argname "NAME"
serve:option("--limit", "How many clients at a time, 1 to 4000.", "64"):convert(whole "limit")
serve:option("--history", "Lines that who joins is shown, 0 to 1000.", "20")
  :convert(whole "history")
serve:option("--memory", "Bytes to keep of what is said, 65536 to 1 GiB.", "1048576")
  :convert(whole "memory")
serve:option("--backlog", "Bytes that a client may be behind, 16384 to 1 GiB.", "1048576")
  :convert(whole "backlog")
serve:option("--grace", "Seconds to wait for a client's process that was stopped.", "5")
  :convert(number "grace")

local chat = parser:command("chat", "Take part in a chat, until Ctrl-D, Ctrl-C or /quit.")
  :epilog [[
In a terminal the line can be edited: arrows, Home, End, Backspace and Delete; Ctrl-A and
Ctrl-E go to its begin and end, Ctrl-U and Ctrl-K delete what is before and behind the cursor,
Ctrl-W a word; Up and Down show earlier lines, Ctrl-L clears the screen. Each character counts as
one column. Elsewhere lines are read up to the end, and what comes is printed until the server
has answered all. NO_COLOR in the environment is --no-colour.

It exits with 0 when you leave, and with 1 when the server is gone.]]
chat.error = parser.error
chat:option("--host", "The server's address.", "127.0.0.1")
chat:option("--port", "The server's port.", "9523"):convert(whole "port")
chat:option("--unix", "The server's Unix-domain socket, instead."):argname "PATH"
chat:option("--nick", "Ask for this name."):argname "NAME":convert(function(word)
  local names = require "shm.chat.commands"
  return names.is_name(word) and word or nil, "nick: " .. names.A_NAME
end)
chat:flag("--no-colour --no-color", "Print no colours.")

local commands = {}

function commands.chat(arguments)
  return require("shm.chat.client").run {
    host = arguments.host, port = arguments.port, path = arguments.unix, nick = arguments.nick,
    colour = not arguments.no_colour,
  }
end

function commands.serve(arguments)
  io.stdout:setvbuf "line"
  require("shm.process").signal("PIPE", "ignore") -- who reads the log may leave
  return require("shm.chat").serve {
    host = arguments.host, port = arguments.port, tcp = not arguments.no_tcp,
    path = arguments.unix, keep = arguments.keep, limit = arguments.limit,
    history = arguments.history, memory = arguments.memory, backlog = arguments.backlog,
    grace = arguments.grace,
    log = function(line)
      print(os.date "%H:%M:%S " .. line)
    end,
    ready = function(host, port)
      print(("Join with: nc %s   (Ctrl-C here ends the chat)"):format(
        port and host .. " " .. port or "-U " .. arguments.unix))
    end,
  }
end

local arguments = parser:parse()
for name, command in pairs(commands) do
  if arguments[name] then
    local ran, done, message = pcall(command, arguments)
    if not (ran and done) then
      io.stderr:write("shm: ", tostring(ran and message or done), "\n")
      os.exit(1)
    end
  end
end
