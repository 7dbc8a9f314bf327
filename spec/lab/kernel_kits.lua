-- What spec.lab.differential makes protocols of that use queues, topics, signals, segments, forks
-- and the clock: each alone, and all of them together.
--
--   lua5.4 spec/lab/differential.lua spec.lab.kernel_kits:signals,words 1 20000
local M = {}

M.queues = {
  fields = {'queues = {q = {capacity = 1}, r = {capacity = 2, overflow = "reject"}}'},
  places = {queue = {"q", "q", "r"}, message = {"1", "2", '"a"', "{1, x = 2}"}},
  statements = {
    {5, 'w.observe("$tag", got(w.$queue:push($message)))'},
    {5, 'w.observe("$tag", type(w.$queue:pop()))'},
    {2, 'w.observe("$tag", got(w.$queue:push($message, 1)))'},
    {2, 'w.observe("$tag", got(w.$queue:push(3, 0)))'},
    {2, 'w.observe("$tag", type(w.$queue:pop(1)))'},
    {1, 'local v, _, errno = w.$queue:pop(0) w.observe("$tag", type(v) .. tostring(errno))'},
    {1, 'local v, _, errno = w.$queue:peek() w.observe("$tag", type(v) .. tostring(errno))'},
    {1, 'w.observe("$tag", #w.$queue)'},
    {1, 'w.observe("$tag", got(w.$queue:shutdown()))'},
    {1, "if #w.$queue > 0 then $body end"},
    {1, 'local v repeat v = w.q:pop(1) until v w.observe("$tag", type(v))'},
    {1, "while #w.$queue == 0 do w.sleep(1) end"},
  },
  never = {"two = function(s) return s.r.length == 2 end",
           "first = function(s) return s.q[1] == 2 end"},
  finally = {"empty = function(s) return s.q.length == 0 end"},
}

M.topics = {
  fields = {'topics = {t = {capacity = 1}, u = {capacity = 1, overflow = "drop"}}'},
  places = {topic = {"t", "t", "u"}, from = {"oldest", "newest"}},
  statements = {
    {4, 'w.observe("$tag", got(w.$topic:publish(1)))'},
    {3, 'w.observe("$tag", got(w.$topic:publish(2, 1)))'},
    {1, 'w.observe("$tag", got(w.$topic:publish(2, 0)))'},
    {3, 'local s = w.$topic:subscribe() w.observe("$tag", got(s:next()))'},
    {3, 'local s = w.$topic:subscribe{from = "$from"} w.observe("$tag", got(s:try()))'},
    {2, 'local s = w.$topic:subscribe{from = "oldest"} w.observe("$tag", got(s:next())) $body'},
    {2, 'local s = w.$topic:subscribe() $body w.observe("$tag", got(s:next(1), s:lost()))'},
    {2, 'local s = w.$topic:subscribe{from = "$from"} $body w.observe("$tag", #s)'},
    {1, 'local s = w.$topic:subscribe() $body s:close()'},
    {1, 'local s = w.$topic:subscribe{from = "$from"} $body'},
    {4, 'w.observe("$tag", #w.$topic)'},
    {1, 'local s = w.$topic:subscribe{from = "oldest"} while not s:try() do end'},
    {1, "while not w.t:publish(3, 1) do end"},
    {1, 'w.observe("$tag", w.$topic:subscribers())'},
  },
  never = {"two = function(s) return s.t.published == 2 end",
           "heard = function(s) return s.t.subscribers == 2 end"},
}

M.signals = {
  places = {signal = {"USR1", "USR1", "USR2"}},
  statements = {
    {5, 'w.observe("$tag", got(w.kill($other, "$signal")))'},
    {1, 'w.observe("$tag", got(w.kill($me, "$signal")))'},
    {1, 'w.observe("$tag", got(w.kill($other, "KILL")))'},
    {1, 'w.observe("$tag", got(w.kill($me, "KILL")))'},
    {3, "w.pause()"},
    {3, 'w.block("$signal")'},
    {2, 'w.unblock("$signal")'},
    {3, 'w.block("$signal", "$signal") w.observe("$tag", w.sigwait("USR1"))'},
    {2, 'w.block("USR1", "USR2") w.observe("$tag", w.sigwait("USR1", "USR2"))'},
    {2, 'w.block "$signal" $body w.observe("$tag", w.sigwait("$signal"))'},
    {2, 'w.block "USR1" w.observe("$tag", got(w.sigwait("USR1", 1)))'},
    {2, 'w.observe("$tag", w.handled("$signal"))'},
    {2, 'if w.handled "$signal" == 0 then $body end'},
    {1, 'if w.handled "USR1" == 0 then w.pause() end'},
    {1, 'while w.handled "USR1" == 0 do w.sleep(1) end'},
  },
}

M.segments = {
  fields = {'segments = {seg = {"flag", "data"}}'},
  places = {part = {"flag", "data"}},
  statements = {
    {3, 'if w.seg:create() then w.seg:truncate() end'},
    {2, 'w.observe("$tag", got(w.seg:create()))'},
    {2, 'w.observe("$tag", got(w.seg:open()))'},
    {2, 'if w.seg:open() then w.observe("$tag", w.seg:size()) w.seg:truncate() end'},
    {2, 'w.observe("$tag", got(w.seg:unlink()))'},
    {3, 'if w.seg:open() then local at = w.seg:attach() at.$part = 1 $body at.flag = 2 end'},
    {3, 'if w.seg:open() then local at = w.seg:attach() w.observe("$tag", at.$part) $body end'},
    {2, 'if w.seg:create() then w.seg:truncate() local at = w.seg:attach() at.data = 1 ' ..
        'at.flag = 1 w.observe("$tag", at.$part) end'},
    {2, 'if w.seg:open() then local at = w.seg:attach() ' ..
        'w.await(function() return at.flag > 0 end) w.observe("$tag", at.data) end'},
    {1, 'w.seg:truncate()'},
    {2, "while not w.seg:open() do w.sleep(1) end while w.seg:size() == 0 do end"},
    {2, 'w.note "$tag"'},
  },
  never = {"bare = function(s) return s.seg.linked and not s.seg.sized end"},
}

M.forks = {
  statements = {
    {4, 'local c = w.fork(function(w) $body end) w.observe("$tag", got(c:wait()))'},
    {2, 'local c = w.fork(function(w) $body end) w.observe("$tag", got(c:wait(1)))'},
    {2, 'w.fork(function(w) $body end)'},
    {2, 'local c = w.fork(function(w) $body end) w.observe("$tag", got(c:kill("KILL"))) ' ..
        'w.observe("$tag", got(c:wait()))'},
    {1, 'local c = w.fork(function(w) $body end) w.observe("$tag", tostring(c:alive())) c:wait()'},
    {1, 'local c = w.fork(function(w) w.pause() end) $body w.observe("$tag", c:kill("USR1")) ' ..
        'w.observe("$tag", got(c:wait()))'},
    {1, 'local c = w.fork(function(w) $body end) c:wait() ' ..
        'w.observe("$tag", got(c:kill("USR1")))'},
    {1, 'local n = 1 w.fork(function(w) n = 2 $body w.observe("$tag", w.role) end)'},
    {1, 'local c = w.fork(function(w) $body end) while c:alive() do w.sleep(1) end'},
    {1, 'local c = w.fork(function(w) $body end) while not c:wait(1) do end'},
    {1, 'error("$tag", 0)'},
    {4, 'w.observe("$tag", w.role)'},
    {3, 'w.note "$tag"'},
  },
}

M.clocks = {
  statements = {
    {3, "w.sleep(1)"},
    {3, 'w.observe("$tag", w.now())'},
  },
}

return M
