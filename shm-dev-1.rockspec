rockspec_format = "3.0"
package = "shm"
version = "dev-1"
source = {
   url = "git+file://.",
}
description = {
   summary = "Memory that processes share, and everything to use it safely",
   detailed = [[
System V shared memory and semaphores, regions with bounds, atomics and waiting,
processes and signals as readable events, and protocols on top: the pid exchange
and the group chat. Linux only.

shm.chat needs cqueues and the command needs argparse. They are not listed as
dependencies because the rest works without them; Debian has both as lua-cqueues
and lua-argparse.]],
   license = "MIT",
}
supported_platforms = { "linux" }
dependencies = {
   "lua >= 5.4, < 5.5",
}
build = {
   type = "builtin",
   modules = {
      ["shm.core"] = {
         sources = {
            "src/os/channel.c",
            "src/os/clock.c",
            "src/os/fault.c",
            "src/os/fd.c",
            "src/os/file.c",
            "src/os/futex.c",
            "src/os/lock.c",
            "src/os/map.c",
            "src/os/posixmq.c",
            "src/os/posixsem.c",
            "src/os/posixshm.c",
            "src/os/process.c",
            "src/os/signal.c",
            "src/os/stream.c",
            "src/os/sysv.c",
            "src/os/sysvmsg.c",
            "src/os/sysvsem.c",
            "src/os/sysvshm.c",
            "src/mem/fault.c",
            "src/mem/mapping.c",
            "src/mem/object.c",
            "src/mem/word.c",
            "src/bind/argument.c",
            "src/bind/behind.c",
            "src/bind/boundword.c",
            "src/bind/channel.c",
            "src/bind/child.c",
            "src/bind/core.c",
            "src/bind/descriptor.c",
            "src/bind/field.c",
            "src/bind/format.c",
            "src/bind/getter.c",
            "src/bind/handle.c",
            "src/bind/ipcid.c",
            "src/bind/lock.c",
            "src/bind/map.c",
            "src/bind/object.c",
            "src/bind/pack.c",
            "src/bind/pollable.c",
            "src/bind/posix.c",
            "src/bind/posixmq.c",
            "src/bind/posixsem.c",
            "src/bind/process.c",
            "src/bind/region.c",
            "src/bind/result.c",
            "src/bind/scalar.c",
            "src/bind/search.c",
            "src/bind/setter.c",
            "src/bind/signals.c",
            "src/bind/sysv.c",
            "src/bind/sysvmsg.c",
            "src/bind/sysvsem.c",
            "src/bind/sysvshm.c",
            "src/bind/word.c",
         },
         incdirs = { "src" },
         defines = { "_GNU_SOURCE" },
      },
      ["shm"] = "lua/shm/init.lua",
      ["shm.chat"] = "lua/shm/chat.lua",
      ["shm.chat.board"] = "lua/shm/chat/board.lua",
      ["shm.chat.commands"] = "lua/shm/chat/commands.lua",
      ["shm.chat.door"] = "lua/shm/chat/door.lua",
      ["shm.chat.hub"] = "lua/shm/chat/hub.lua",
      ["shm.chat.ring"] = "lua/shm/chat/ring.lua",
      ["shm.chat.session"] = "lua/shm/chat/session.lua",
      ["shm.chat.unread"] = "lua/shm/chat/unread.lua",
      ["shm.options"] = "lua/shm/options.lua",
      ["shm.peer"] = "lua/shm/peer.lua",
      ["shm.peer.link"] = "lua/shm/peer/link.lua",
      ["shm.peer.segment"] = "lua/shm/peer/segment.lua",
      ["shm.peer.waiting"] = "lua/shm/peer/waiting.lua",
      ["shm.posix"] = "lua/shm/posix.lua",
      ["shm.process"] = "lua/shm/process.lua",
      ["shm.record"] = "lua/shm/record.lua",
      ["shm.record.access"] = "lua/shm/record/access.lua",
      ["shm.record.header"] = "lua/shm/record/header.lua",
      ["shm.record.layout"] = "lua/shm/record/layout.lua",
      ["shm.sysv"] = "lua/shm/sysv.lua",
   },
   install = {
      bin = { shm = "lua/shm/command.lua" },
   },
}
