# What the plots have in common: black on white, told apart by dashes and points. Limits are
# lines without points; ours is the thick one.
set terminal svg size 900,560 font "sans-serif,14" background "white"
set output output
set datafile separator "\t"
set datafile missing "?"
set border 3 linewidth 1
set tics nomirror out
set grid back linetype 1 linecolor rgb "#dddddd" linewidth 0.5
set key outside right center reverse Left samplen 4 spacing 1.3

# Ours, and the limit in C.
set style line 1 linecolor rgb "black" linewidth 3.5 dashtype 1 pointtype 7 pointsize 0.9
set style line 2 linecolor rgb "black" linewidth 2 dashtype 2 pointtype 6 pointsize 0.9
set style line 3 linecolor rgb "#777777" linewidth 3 dashtype 1
set style line 4 linecolor rgb "#777777" linewidth 3 dashtype 3
# Others.
set style line 5 linecolor rgb "#333333" linewidth 1.2 dashtype 4 pointtype 4 pointsize 0.8
set style line 6 linecolor rgb "#333333" linewidth 1.2 dashtype 5 pointtype 8 pointsize 0.9
set style line 7 linecolor rgb "#333333" linewidth 1.2 dashtype 2 pointtype 10 pointsize 0.9
set style line 8 linecolor rgb "#333333" linewidth 1.2 dashtype 3 pointtype 12 pointsize 1
set style line 9 linecolor rgb "#333333" linewidth 1.2 dashtype 1 pointtype 9 pointsize 0.9
set style line 10 linecolor rgb "#333333" linewidth 1.2 dashtype 1 pointtype 5 pointsize 0.8
set style line 11 linecolor rgb "#333333" linewidth 1.2 dashtype 1 pointtype 2 pointsize 0.8
set style line 12 linecolor rgb "#333333" linewidth 1.2 dashtype 1 pointtype 3 pointsize 0.8
