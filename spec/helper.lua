-- Loaded by busted before the specs: counts what ran and closes the run with one plain line.
local busted = require "busted"
local counts = {success = 0, failure = 0, error = 0, pending = 0}

busted.subscribe({"test", "end"}, function(_, _, status)
  counts[status] = counts[status] + 1
  return nil, true
end)

-- An error outside of any test, as in a file that does not load.
busted.subscribe({"error"}, function(element)
  if element.descriptor ~= "it" then
    counts.error = counts.error + 1
  end
  return nil, true
end)

busted.subscribe({"exit"}, function()
  local failed = counts.failure + counts.error
  local skipped = counts.pending > 0 and (", %d skipped"):format(counts.pending) or ""
  print(("%d passed, %d failed%s"):format(counts.success, failed, skipped))
  local ran = counts.success + counts.pending > 0 -- all may have said why they were skipped
  os.exit(failed == 0 and ran and 0 or 1, true)
end)
