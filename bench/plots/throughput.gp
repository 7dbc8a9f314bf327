# How many messages go one way between two processes, over their size.
load "bench/plots/style.gp"
load "bench/plots/sizes.gp"
set title "One way between two processes, each on a cpu of its own"
set ylabel "messages per second (more is better)"
set format y "10^{%T}"
data = "build/bench/throughput.tsv"
rate(ns) = 1e9 / ns
plot data using "size":(rate(column("a ring in C"))) with lines linestyle 3 title "limit: ring in C", \
     data using "size":(rate(column("queue, spsc"))) with linespoints linestyle 1 title "shm queue, one to one", \
     data using "size":(rate(column("queue, mpmc"))) with linespoints linestyle 2 title "shm queue, many", \
     data using "size":(rate(column("Boost's message_queue"))) with linespoints linestyle 10 title "Boost, message\\_queue", \
     data using "size":(rate(column("a pipe in C"))) with lines linestyle 4 title "pipe in C", \
     data using "size":(rate(column("a POSIX message queue"))) with linespoints linestyle 7 title "POSIX message queue", \
     data using "size":(rate(column("a System V message queue"))) with linespoints linestyle 8 title "System V message queue", \
     data using "size":(rate(column("a pipe, cqueues"))) with linespoints linestyle 5 title "pipe, cqueues", \
     data using "size":(rate(column("a socketpair, cqueues"))) with linespoints linestyle 6 title "socketpair, cqueues", \
     data using "size":(rate(column("Python's Queue"))) with linespoints linestyle 11 title "Python, Queue", \
     data using "size":(rate(column("Redis"))) with linespoints linestyle 9 title "Redis"
