std = "lua54"
globals = {"arg"}
max_line_length = 100
files["spec"] = {std = "lua54+busted"}
files["**/*.d.lua"] = {ignore = {"211", "212", "241", "431"}}
exclude_files = {"lua_modules", "build"}
