--- The characters that a scene is drawn with in a terminal: box drawing, or ASCII alone.
-- @module shm.lab.draw.signs
local M = {}

M.unicode = {
  -- What goes down a lane; on its left, what its store buffer holds.
  life = "│", inside = "┃", several = "█", wait = "░", memory = "║", gap = "≈",
  first = "╭", more = "├", kept = "┊", last = "╰",
  -- Steps, and where a forked child's lane begins.
  act = "●", read = "○", write = "■", store = "□", both = "◉", fence = "╪", enter = "┳",
  leave = "┻", crash = "╳", error = "!", ["end"] = "┴", restart = "▽", note = "·", choose = "◇",
  flush = "┼", born = "┬",
  -- Arrows.
  line = "─", dashed = "╌", dotted = "┈", left = "◀", right = "▶", cross = "┼",
  -- The verdict's line.
  heavy = "━", here = "▶", wrong = "✗",
  ellipsis = "…",
}

M.ascii = {
  life = "|", inside = "H", several = "#", wait = ":", memory = "\"", gap = "~",
  first = "/", more = "+", kept = "'", last = "\\",
  act = "*", read = "o", write = "W", store = "w", both = "%", fence = "=", enter = "H",
  leave = "H", crash = "X", error = "!", ["end"] = "-", restart = "V", note = ".", choose = "?",
  flush = "+", born = "+",
  line = "-", dashed = "-", dotted = ".", left = "<", right = ">", cross = "+",
  heavy = "=", here = ">", wrong = "X",
  ellipsis = "...",
}

return M
