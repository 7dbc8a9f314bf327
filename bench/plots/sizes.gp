# Message sizes, from left to right.
set logscale x 2
set xrange [6:87000]
set xlabel "bytes of a message"
set xtics ("8" 8, "64" 64, "256" 256, "1 Ki" 1024, "4 Ki" 4096, "16 Ki" 16384, "64 Ki" 65536)
set logscale y 10
