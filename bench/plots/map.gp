# Look-ups and changes per second of a map of a million keys, over the processes that use it.
load "bench/plots/style.gp"
set terminal svg size 1000,560 font "sans-serif,14" background "white"
set logscale y 10
set yrange [5e3:2e7]
set format y "10^{%T}"
set xrange [0.8:4.2]
set xtics 1
set xlabel "processes"
rate(ns) = 1e9 / ns
set multiplot
set tmargin at screen 0.9
set bmargin at screen 0.14
set nokey
set lmargin at screen 0.09
set rmargin at screen 0.37
set title "get, 1 million keys"
set ylabel "operations per second, of all (more is better)"
data = "build/bench/map-get.tsv"
plot data using "processes":(rate(column("a plain Lua table"))) with lines linestyle 3, \
     data using "processes":(rate(column("map"))) with linespoints linestyle 1, \
     data using "processes":(rate(column("LMDB in C"))) with linespoints linestyle 5, \
     data using "processes":(rate(column("ngx.shared.DICT"))) with linespoints linestyle 7, \
     data using "processes":(rate(column("Boost's managed map"))) with linespoints linestyle 10, \
     data using "processes":(rate(column("Redis"))) with linespoints linestyle 9, \
     data using "processes":(rate(column("Python's Manager().dict()"))) with linespoints linestyle 11
set lmargin at screen 0.44
set rmargin at screen 0.72
set title "set, 1 million keys"
unset ylabel
set key at screen 0.735, screen 0.75 left top reverse Left samplen 4 spacing 1.3
data = "build/bench/map-set.tsv"
plot data using "processes":(rate(column("a plain Lua table"))) with lines linestyle 3 title "limit: a Lua table of one", \
     data using "processes":(rate(column("map"))) with linespoints linestyle 1 title "shm map", \
     data using "processes":(rate(column("LMDB in C"))) with linespoints linestyle 5 title "LMDB in C", \
     data using "processes":(rate(column("ngx.shared.DICT"))) with linespoints linestyle 7 title "ngx.shared.DICT", \
     data using "processes":(rate(column("Boost's managed map"))) with linespoints linestyle 10 title "Boost, managed map", \
     data using "processes":(rate(column("Redis"))) with linespoints linestyle 9 title "Redis", \
     data using "processes":(rate(column("Python's Manager().dict()"))) with linespoints linestyle 11 title "Python, Manager().dict()"
unset multiplot
