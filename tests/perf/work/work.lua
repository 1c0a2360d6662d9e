-- Lua: tables, closures, strings, arithmetic.
local function sieve(n)
  local is, sum = {}, 0
  for i = 2, n do is[i] = true end
  for i = 2, n do
    if is[i] then
      sum = sum + i
      for j = i * i, n, i do is[j] = false end
    end
  end
  return sum
end
local function counter()
  local c = 0
  return function(d) c = c + d; return c end
end
local add, parts = counter(), {}
for i = 1, 1000000 do add(i % 7) end
for i = 1, 100000 do parts[#parts + 1] = string.format("%d", i * 7919 % 1009) end
table.sort(parts)
print(sieve(700000), add(0), #table.concat(parts), parts[5000])
