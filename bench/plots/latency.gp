# How long a message takes there and back between two processes, over its size.
load "bench/plots/style.gp"
load "bench/plots/sizes.gp"
set title "There and back between two processes, each on a cpu of its own"
set ylabel "microseconds (less is better)"
set format y "%g"
data = "build/bench/latency.tsv"
us(ns) = ns / 1000.0
plot data using "size":(us(column("Redis"))) with linespoints linestyle 9 title "Redis", \
     data using "size":(us(column("Python's Queue"))) with linespoints linestyle 11 title "Python, Queue", \
     data using "size":(us(column("a socketpair, cqueues"))) with linespoints linestyle 6 title "socketpair, cqueues", \
     data using "size":(us(column("a pipe, cqueues"))) with linespoints linestyle 5 title "pipe, cqueues", \
     data using "size":(us(column("a POSIX message queue"))) with linespoints linestyle 7 title "POSIX message queue", \
     data using "size":(us(column("a System V message queue"))) with linespoints linestyle 8 title "System V message queue", \
     data using "size":(us(column("Boost's message_queue"))) with linespoints linestyle 10 title "Boost, message\\_queue", \
     data using "size":(us(column("pipes in C"))) with lines linestyle 4 title "pipe in C", \
     data using "size":(us(column("queue, mpmc"))) with linespoints linestyle 2 title "shm queue, many", \
     data using "size":(us(column("queue, spsc"))) with linespoints linestyle 1 title "shm queue, one to one", \
     data using "size":(us(column("two rings in C"))) with lines linestyle 3 title "limit: ring in C"
