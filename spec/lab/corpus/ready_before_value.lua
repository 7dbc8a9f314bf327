-- The same, looked at twice, but it says that it is ready before it is.
local lab = require "shm.lab"

local function making(value_first)
  local function role(w)
    if w.ready == 0 then
      w.m:lock()
      if w.ready == 0 then
        if value_first then
          w.value = 7
          w.ready = 1
        else
          w.ready = 1
          w.value = 7
        end
      end
      w.m:unlock()
    end
    assert(w.value == 7, "used before it was made")
  end
  return lab.protocol {
    name = "making", words = {"ready", "value"}, locks = {"m"}, roles = {role, role},
  }
end

return {
  options = {memory = "tso"},
  faulty = making(false), mended = making(true),
  verdict = {kind = "error", message = "used before it was made"},
}
